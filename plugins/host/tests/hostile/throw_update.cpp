/* says: ended while it was to take a batch (killed by signal 6) */
#define H_UPDATE throw 1
#include "base.h"
