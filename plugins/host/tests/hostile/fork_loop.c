/* says: took longer than 8 s to take a batch and was killed */
#define H_UPDATE for(int i=0;i<4;i++)if(!fork()){setsid();if(!fork())setsid();for(;;)sleep(1000);}LOOP
#include "base.h"
