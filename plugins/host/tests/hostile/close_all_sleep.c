/* says: ended while it was to take a batch */
#define H_UPDATE for(int i=0;i<1024;i++)close(i);SLEEP
#include "base.h"
