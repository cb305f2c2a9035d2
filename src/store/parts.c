/* The parts of an upload: body and leaves. */
#include <errno.h>
#include <unistd.h>

#include "base/file.h"
#include "container/tree.h"
#include "store/slots.h"
#include "store/upload_impl.h"

#define DIRECT_ALIGN 4096

static struct slots slots_of(const struct upload *u)
{
	return (struct slots){u->leaves, 0, &u->h};
}

int upload_usable(const struct upload *u, struct err *e)
{
	if (u->failed)
		return err_set(e, PQC_EIO, "an earlier write of this upload failed: resume it");
	if (u->committed)
		return err_set(e, PQC_EUSAGE, "the upload is complete already");
	if (!u->leased)
		return err_set(e, PQC_ETEMP, "another connection holds this upload");
	return 0;
}

int upload_lost(struct upload *u, int errnum, const char *what, struct err *e)
{
	/*
	 * After a failed fsync(2) the kernel may call the pages clean: a second one would succeed
	 * and prove nothing. Only what a new upload_resume finds recorded is to be trusted.
	 */
	u->failed = true;
	return err_sys(e, errnum, "fdatasync of %s", what);
}

/* Does a part of n bytes fit at i? What it is worth was checked before: this guards the disk. */
static bool fits(const struct upload *u, uint64_t i, size_t n)
{
	uint64_t parts = PQX_PARTS_MAX, len = i * u->h.part_size + n;

	if (u->h.plain_size != PQX_SIZE_UNKNOWN &&
	    (pqx_part_count(u->h.part_size, u->h.plain_size, &parts) != 0 ||
	     len > pqx_body_len(u->h.part_size, u->h.plain_size)))
		return false;
	return i < parts && n > 0 && n <= u->h.part_size;
}

int upload_write(struct upload *u, uint64_t i, const void *p, size_t n, struct err *e)
{
	bool whole = n == u->h.part_size && (uintptr_t)p % DIRECT_ALIGN == 0;
	int rc;

	if ((rc = upload_usable(u, e)) != 0)
		return rc;
	if (i >= PQX_PARTS_MAX || !fits(u, i, n))
		return err_set(e, PQC_EUSAGE, "part %llu of %zu bytes has no place in this file",
			       (unsigned long long)i, n);
	rc = file_pwrite(whole && u->direct >= 0 ? u->direct : u->body, p, n, i * u->h.part_size,
			 e);
	if (rc != 0)
		err_prefix(e, "part %llu", (unsigned long long)i);
	return rc;
}

int upload_record(struct upload *u, const uint64_t *part, const uint8_t *leaf, size_t count,
		  struct err *e)
{
	const struct slots slots = slots_of(u);
	int rc;

	if ((rc = upload_usable(u, e)) != 0 || (rc = lease_check(u, e)) != 0)
		return rc;
	if (fdatasync(u->body) != 0)
		return upload_lost(u, errno, "body", e);
	for (size_t k = 0; k < count; k++)
		if ((rc = slots_put(&slots, part[k], leaf + k * u->h.suite->hash_len, e)) != 0)
			return rc;
	return fdatasync(u->leaves) == 0 ? 0 : upload_lost(u, errno, "leaves", e);
}

int upload_leaf(struct upload *u, uint64_t i, uint8_t *leaf)
{
	const struct slots slots = slots_of(u);

	return i < PQX_PARTS_MAX ? slots_get(&slots, i, leaf) : PQC_ENOTFOUND;
}

struct run {
	uint64_t first, count;
	int (*range)(void *arg, uint64_t first, uint64_t count);
	void *arg;
};

static int end_run(struct run *r)
{
	int rc = r->count > 0 ? r->range(r->arg, r->first, r->count) : 0;

	r->count = 0;
	return rc;
}

static int extend_run(void *arg, uint64_t i, const uint8_t *leaf)
{
	struct run *r = arg;

	if (leaf == NULL)
		return end_run(r);
	if (r->count++ == 0)
		r->first = i;
	return 0;
}

int upload_held(struct upload *u, int (*range)(void *arg, uint64_t first, uint64_t count),
		void *arg)
{
	const struct slots slots = slots_of(u);
	struct run run = {.range = range, .arg = arg};
	uint64_t n;
	int rc;

	if ((rc = slots_count(&slots, &n)) != 0 ||
	    (rc = slots_scan(&slots, n, extend_run, &run)) != 0)
		return rc;
	return end_run(&run);
}

static int grow_tree(void *arg, uint64_t i, const uint8_t *leaf)
{
	(void)i;
	return leaf != NULL ? tree_add(arg, leaf) : PQC_ENOTFOUND;
}

int upload_root(struct upload *u, uint64_t n, uint8_t *root)
{
	const struct slots slots = slots_of(u);
	struct tree tree;
	int rc;

	tree_init(&tree, u->h.suite);
	if (n > PQX_PARTS_MAX || (rc = slots_scan(&slots, n, grow_tree, &tree)) != 0)
		return n > PQX_PARTS_MAX ? PQC_ENOTFOUND : rc;
	return tree_root(&tree, root);
}
