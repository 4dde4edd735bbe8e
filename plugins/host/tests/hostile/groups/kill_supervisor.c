/* says: ended while it was to take a batch (signal: 9 (SIGKILL)) */
#define H_UPDATE if(!fork()){setsid();if(!fork())setsid();for(;;)sleep(1000);}usleep(100000);kill(getppid(),SIGKILL);LOOP
#include "../base.h"
