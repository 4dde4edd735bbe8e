/* says: failed: no more files */
#define H_UPDATE for(int i=0;i<4096;i++)if(open("/dev/null",O_RDONLY)<0){const char*k="{\"message\":\"no more files\"}";give(e,k);return DG_INTERNAL;}
#include "base.h"
