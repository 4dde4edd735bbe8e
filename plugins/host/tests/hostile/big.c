/* says: notes` of note 0 has 209715200 bytes, more than 16384 */
#define H_FINISH if(m->n){size_t k=200u<<20;char*p=malloc(k+200);int a=sprintf(p,"{\"schema\":1,\"scalars\":[],\"notes\":[\"");memset(p+a,120,k);strcpy(p+a+k,"\"]}");given(o,p,strlen(p));return DG_OK;}
#include "base.h"
