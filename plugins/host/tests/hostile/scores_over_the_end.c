/* says: `values` of scores `bad` of condition `default` is no array of 20 */
#define CHANGE char*z=mmap(0,8192,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS,-1,0);munmap(z+4096,4096);s.values=(const double*)(z+4096-16);
#include "scores.h"
