/* says: does not speak the protocol: frame of 1651663207 bytes: something else than frames is written there */
#define H_UPDATE for(int i=3;i<64;i++)if(write(i,"garbage garbage garbage",23)){}
#include "base.h"
