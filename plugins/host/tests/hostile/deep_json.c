/* says: it is not the JSON of an output: invalid type: sequence, expected u32 */
#define H_FINISH if(m->n){size_t k=1u<<20;char*p=malloc(k+1);memset(p,91,k);p[k]=0;given(o,p,k);return DG_OK;}
#include "base.h"
