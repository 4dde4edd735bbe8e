/* says: ended while it was to take a batch (killed by signal 6) */
#define H_UPDATE if(!fork()){sleep(25);_exit(0);}abort()
#include "base.h"
