#include "lib/control.h"

#include <stdlib.h>

#include "base/clock.h"

#define PROGRESS_MS 100 /* at most so often */

int pqc_cancel_new(struct pqc_cancel **out, struct pqc_error *e)
{
	struct err err = {0};
	int rc = lib_need(out, "out", &err);

	if (rc == 0 && (*out = calloc(1, sizeof(**out))) == NULL)
		rc = err_set(&err, PQC_ENOMEM, "out of memory");
	return lib_done(rc, &err, e);
}

void pqc_cancel_set(struct pqc_cancel *c)
{
	if (c != NULL)
		atomic_store(&c->set, true);
}

void pqc_cancel_free(struct pqc_cancel *c)
{
	free(c);
}

int control_begin(struct control *k, const struct pqc_control *given, struct err *e)
{
	static const struct lib_options o = {"struct pqc_control",
					     LIB_UP_TO(struct pqc_control, cancel),
					     sizeof(struct pqc_control)};

	*k = (struct control){.shown = 0};
	return lib_take(&o, given, &k->c, e);
}

const atomic_bool *control_flag(const struct control *k)
{
	return k->c.cancel != NULL ? &k->c.cancel->set : NULL;
}

bool control_cancelled(const struct control *k)
{
	return k->c.cancel != NULL && atomic_load(&k->c.cancel->set);
}

static int tell(struct control *k, const struct pqc_progress *p)
{
	k->shown = clock_ms();
	k->untold = false;
	return k->c.progress(k->c.arg, p);
}

int control_progress(struct control *k, const struct pqc_progress *p)
{
	uint64_t now = clock_ms();

	if (control_cancelled(k))
		return 1;
	if (k->c.progress == NULL)
		return 0;
	k->last = *p;
	k->untold = true;
	if (k->shown != 0 && now - k->shown < PROGRESS_MS)
		return 0;
	return tell(k, p);
}

void control_end(struct control *k)
{
	/* Of a stream nobody knew it before. */
	if (k->last.total == PQC_SIZE_UNKNOWN && k->c.progress != NULL) {
		k->last.total = k->last.done;
		k->untold = true;
	}
	if (k->untold)
		(void)tell(k, &k->last);
}
