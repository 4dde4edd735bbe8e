/* says: ended while it was to make its result (exit status: 0) */
#define H_FINISH if(m->n)_exit(0)
#include "base.h"
