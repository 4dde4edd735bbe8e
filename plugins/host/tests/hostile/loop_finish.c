/* says: took longer than 8 s to make its result and was killed */
#define H_FINISH if(m->n)LOOP
#include "base.h"
