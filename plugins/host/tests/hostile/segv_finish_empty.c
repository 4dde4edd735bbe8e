/* says: ended while it was to make its result (killed by signal 11) */
#define H_FINISH SEGV
#include "base.h"
