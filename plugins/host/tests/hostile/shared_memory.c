/* says: ended while it was to take a batch: it used more than 1024 MiB of memory */
#define H_UPDATE for(;;){char*p_=mmap(0,64<<20,PROT_READ|PROT_WRITE,MAP_SHARED|MAP_ANONYMOUS,-1,0);if(p_==MAP_FAILED)abort();memset(p_,1,64<<20);}
#include "base.h"
