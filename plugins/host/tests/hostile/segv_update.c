/* says: ended while it was to take a batch (killed by signal 11) */
#define H_UPDATE SEGV
#include "base.h"
