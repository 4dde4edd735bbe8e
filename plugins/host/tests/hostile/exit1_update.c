/* says: ended while it was to take a batch (exit status: 1) */
#define H_UPDATE exit(1)
#include "base.h"
