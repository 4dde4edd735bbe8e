/* says: ended while it was to take a batch */
#define H_UPDATE pthread_exit(NULL)
#include "base.h"
