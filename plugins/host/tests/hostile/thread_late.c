/* anything */
#define H_UPDATE {static const dg_host*H;static const dg_batch*B;H=m->host;B=b;void*f(void*p){(void)p;for(int k=0;k<20000000;k++){dg_str s={0};H->get_str(B,0,S("completion"),&s);H->get_json(B,0,&s);}return 0;}pthread_t t;pthread_create(&t,0,f,0);pthread_detach(t);}
#include "base.h"
