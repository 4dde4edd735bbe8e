#define H_FINISH if(m->n){FILE*f=fopen(getenv("HOSTILE_JSON"),"rb");fseek(f,0,2);long k=ftell(f);rewind(f);char*p=malloc(k+1);if(fread(p,1,k,f)){}p[k]=0;fclose(f);given(o,p,k);return DG_OK;}
#include "../base.h"
