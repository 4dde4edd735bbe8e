/* says: ended while it was to take a batch (exit status: 0) */
#define H_UPDATE exit(0)
#include "base.h"
