/* says: ended while it was to make its result (killed by signal 6) */
#define H_FINISH if(m->n)throw 1
#include "base.h"
