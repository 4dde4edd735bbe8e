/* says: ended while it was to start (killed by signal 11) */
#define H_CREATE SEGV
#include "base.h"
