/* runs */
#define H_UPDATE for(int i=0;i<300000;i++)printf("0123456789012345678901234567890123456789 %d\n",i);fflush(stdout)
#include "base.h"
