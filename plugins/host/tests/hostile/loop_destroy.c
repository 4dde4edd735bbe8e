/* says: took longer than 8 s to make its result and was killed */
#define H_DESTROY if(m->n)LOOP
#include "base.h"
