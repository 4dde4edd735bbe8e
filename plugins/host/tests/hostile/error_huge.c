/* says: failed: xxxx; more bytes) */
#define H_UPDATE {size_t k=50u<<20;char*p=malloc(k+1);memset(p,120,k);p[k]=0;given(e,p,k);return 3;}
#include "base.h"
