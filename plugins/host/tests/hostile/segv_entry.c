/* says: ended while it was to start (killed by signal 11) */
#define H_ENTRY SEGV
#include "base.h"
