/* says: a buffer has the length 18446744073709551615 (-1) */
#define H_FINISH if(m->n){give(o,"{}");o->len=(size_t)-1;return DG_OK;}
#include "base.h"
