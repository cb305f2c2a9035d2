#include "crypto/fault.h"

#include <openssl/err.h>

/* An entry of our own at the front of the queue: proof that there is a queue, which needs memory. */
enum { MARK = 1 };

int fault_begin(void)
{
	ERR_clear_error();
	ERR_raise(ERR_LIB_USER, MARK);
	return ERR_peek_error() != 0 ? 0 : PQC_ECRYPTO;
}

int fault_end(bool ok)
{
	unsigned long cause;
	bool common;

	(void)ERR_get_error();	  /* the mark */
	cause = ERR_peek_error(); /* the oldest that followed is the root of the others */
	common = ERR_SYSTEM_ERROR(cause) || ERR_COMMON_ERROR(cause);
	ERR_clear_error();
	if (ok)
		return cause == 0 ? 0 : PQC_ECRYPTO;
	return common ? PQC_ECRYPTO : PQC_EINTEGRITY;
}
