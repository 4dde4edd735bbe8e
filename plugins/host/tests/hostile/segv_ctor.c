/* says: ended while it was to start (killed by signal 11) */
#define H_CTOR SEGV
#include "base.h"
