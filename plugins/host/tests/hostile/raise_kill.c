/* says: ended while it was to take a batch (killed by signal 9) */
#define H_UPDATE raise(SIGKILL)
#include "base.h"
