/* anything */
#define H_DESTROY {static const dg_host*H;H=m->host;void*f(void*p){(void)p;usleep(20000);for(int k=0;k<1000;k++)H->log(H->ctx,2,S("late"));return 0;}pthread_t t;pthread_create(&t,0,f,0);pthread_detach(t);}
#include "base.h"
