/* says: ended while it was to take a batch: it started more than 64 processes */
#define H_UPDATE for(int i=0;i<200;i++)if(!fork())for(;;)sleep(1000);
#include "base.h"
