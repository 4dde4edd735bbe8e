/* runs */
#define H_CTOR printf("ctor out\n");fprintf(stderr,"ctor err\n");fflush(stdout)
#include "base.h"
