/* says: ended while it was to start (killed by signal 11) */
#define H_MANIFEST SEGV
#include "base.h"
