/*
 * The destination of a get: a temporary file beside it, which takes the name only when everything was
 * verified, and the journal that says which parts are in it. Or memory, or a stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "client/get_impl.h"
#include "client/io.h"
#include "client/slow.h"

static int journal_key(const struct get *g, uint8_t key[32])
{
	uint8_t h[SHA512_LEN];
	struct stat st;
	struct span in[] = {
		{"get", 4},
		{&st.st_dev, sizeof(st.st_dev)},
		{&st.st_ino, sizeof(st.st_ino)},
		{g->base, strlen(g->base) + 1},
		{g->d.call.u->host_port, strlen(g->d.call.u->host_port) + 1},
		{g->d.call.u->name, strlen(g->d.call.u->name) + 1},
		{identity_public(g->d.call.o->identity)->id, ID_LEN},
	};
	int r;

	if (fstat(g->dirfd, &st) != 0)
		return PQC_EIO;
	if ((r = sha512(in, sizeof(in) / sizeof(in[0]), h)) == 0)
		memcpy(key, h, 32);
	return r;
}

/* Said now rather than after an hour. A pipe or a device in whose place a file was put would be lost. */
static int check_place(const struct get *g, struct err *e)
{
	struct stat st;

	if (g->base[0] == '\0')
		return err_set(e, PQC_EUSAGE, "'%s' is no name of a file", g->path);
	if (fstatat(g->dirfd, g->base, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (!g->go->to->replace)
		return err_set(e, PQC_EEXIST, "%s is there already", g->path);
	if (S_ISDIR(st.st_mode))
		return err_sys(e, EISDIR, "%s", g->path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return err_set(e, PQC_EUSAGE,
			       "%s is no regular file, and would be replaced by one: write to it "
			       "through a descriptor",
			       g->path);
	return 0;
}

static int open_path(struct get *g, const char *path, struct err *e)
{
	char *slash, hex[17];
	uint8_t key[32];
	int r;

	if ((g->path = strdup(path)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	slash = strrchr(g->path, '/');
	g->base = slash != NULL ? slash + 1 : g->path;
	if (slash != NULL)
		*slash = '\0';
	g->dirfd = open(slash == NULL	     ? "."
			: g->path[0] == '\0' ? "/"
					     : g->path,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (slash != NULL)
		*slash = '/';
	if (g->dirfd < 0)
		return err_sys(e, errno, "the directory of %s", g->path);
	if ((r = check_place(g, e)) != 0)
		return r;
	if ((r = journal_key(g, key)) != 0)
		return err_set(e, r, "cannot examine the directory of %s", g->path);
	hex_encode(key, 8, hex);
	snprintf(g->tmp, sizeof(g->tmp), ".pqc-get-%s.part", hex);
	if ((r = journal_open(g->d.call.o->state_dir, JOURNAL_GET, key, &g->journal, e)) != 0)
		return r;
	g->fd = openat(g->dirfd, g->tmp, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (g->fd < 0)
		return err_sys(e, errno, "cannot write beside %s", g->path);
	return 0;
}

int get_open_destination(struct get *g, struct err *e)
{
	const struct pqc_sink *to = g->go->to;
	int r;

	if ((r = to_check(to, e)) != 0)
		return r;
	if (to->kind == PQC_IO_PATH)
		return open_path(g, to->path, e);
	g->stream = to->kind != PQC_IO_MEMORY;
	if (to->kind == PQC_IO_FD)
		g->fd = to->fd;
	return 0;
}

/* What an earlier run wrote into the temporary file, as far as the journal vouches for it. */
static int take_up(struct get *g, struct err *e)
{
	uint8_t leaf[HASH_MAX], print[SHA512_LEN];
	struct span root = {g->mf.root, g->mf.suite->hash_len};
	const struct pqx_header *was = journal_header(g->journal);
	struct stat st;
	uint64_t there;
	int r;

	if ((r = sha512(&root, 1, print)) != 0)
		return r;
	if (was == NULL || memcmp(was->raw, g->h.raw, PQX_HEADER_LEN) != 0 ||
	    memcmp(journal_fingerprint(g->journal), print, 32) != 0 || fstat(g->fd, &st) != 0 ||
	    st.st_size == 0) {
		if (ftruncate(g->fd, 0) != 0)
			return err_sys(e, errno, "%s", g->path);
		return journal_start(g->journal, &g->h, print, e);
	}
	for (uint64_t i = 0; i < g->mf.n && i < journal_slots(g->journal); i++)
		if (journal_leaf(g->journal, i, leaf) == 0 &&
		    (r = partset_add(&g->have, i, 1)) != 0)
			return r;
	there = partset_count(&g->have) * g->capacity; /* the last part may carry less */
	g->res->resumed_bytes = there < g->mf.plain_size ? there : g->mf.plain_size;
	if (g->res->resumed_bytes > 0 && g->d.call.o->notice != NULL)
		g->d.call.o->notice(g->d.call.o->arg, "resume",
				    "a part of this file is here already");
	return 0;
}

static int make_room_in_memory(struct get *g, struct err *e)
{
	const struct pqc_sink *to = g->go->to;

	if (g->mf.plain_size > to->size)
		return err_set(e, PQC_ETOOBIG,
			       "the memory has room for %llu bytes, and %llu are needed",
			       (unsigned long long)to->size, (unsigned long long)g->mf.plain_size);
	free(g->leaves);
	/* As many parts as fit into that memory: no stranger decides how much this is. */
	if ((g->leaves = calloc(g->mf.n, g->h.suite->hash_len)) == NULL)
		return err_set(e, PQC_ENOMEM, "out of memory");
	return 0;
}

int get_make_room(struct get *g, struct err *e)
{
	int r;

	if (g->stream)
		return 0;
	if (g->journal == NULL)
		return make_room_in_memory(g, e);
	if ((r = take_up(g, e)) != 0)
		return r;
	g->known =
		true; /* what is in the file now is of this call, to be cleaned up after a failure */
	if (g->mf.plain_size > 0 && fallocate(g->fd, 0, 0, (off_t)g->mf.plain_size) != 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return err_sys(e, errno, "%s: %llu bytes", g->path,
			       (unsigned long long)g->mf.plain_size);
	if (g->direct < 0 && g->mf.plain_size >= FILE_DIRECT_FROM)
		g->direct = file_open_direct(g->fd);
	return 0;
}

int get_write(struct get *g, const uint8_t *p, size_t n, uint64_t i, struct err *e)
{
	int r;

	if (g->journal != NULL)
		return file_pwrite_direct(g->fd, g->direct, p, n, i * g->capacity, e);
	if (g->leaves != NULL)
		return 0; /* it was opened in its place */
	if (g->go->to->kind == PQC_IO_CALLBACK)
		return callback_write(g->go->to, p, n, e);
	r = slow_write(g->fd, &(struct slow_end){call_is_over, &g->d.call}, p, n, e);
	return r == PQC_ECLOSED ? PQC_EIO : r; /* our reader went away, not the server */
}

/* The tree's leaves, where it has not been given them as they came. */
static int grow_tree(struct get *g)
{
	const size_t hl = g->h.suite->hash_len;
	uint8_t leaf[HASH_MAX];
	int r = 0;

	for (uint64_t i = 0; !g->stream && r == 0 && i < g->mf.n; i++) {
		if (g->leaves != NULL)
			memcpy(leaf, g->leaves + i * hl, hl);
		else
			r = journal_leaf(g->journal, i, leaf);
		if (r == 0)
			r = tree_add(&g->tree, leaf);
	}
	return r;
}

int get_publish(struct get *g, struct err *e)
{
	uint8_t root[HASH_MAX];
	int r = grow_tree(g);

	if (r == 0)
		r = tree_root(&g->tree, root);
	if (r != 0)
		return err_set(e, r, "the journal of %s is not whole; try again",
			       g->path != NULL ? g->path : "what came");
	if (memcmp(root, g->mf.root, g->mf.suite->hash_len) != 0)
		return err_set(e, PQC_EINTEGRITY, "what arrived is not what the sender signed");
	if (g->journal == NULL)
		return 0;
	if (ftruncate(g->fd, (off_t)g->mf.plain_size) != 0 ||
	    fchmod(g->fd, 0666 & ~file_umask()) != 0 || fsync(g->fd) != 0)
		return err_sys(e, errno, "%s", g->path);
	if (renameat2(g->dirfd, g->tmp, g->dirfd, g->base,
		      g->go->to->replace ? 0 : RENAME_NOREPLACE) != 0)
		return errno == EEXIST ? err_set(e, PQC_EEXIST, "%s appeared meanwhile", g->path)
				       : err_sys(e, errno, "%s", g->path);
	if ((r = file_fsync_dir(g->dirfd, e)) != 0)
		return r;
	return journal_remove(g->journal, e);
}

void get_clean_up(struct get *g, int r)
{
	struct err ignored;

	if (g->journal == NULL || r == 0)
		return;
	/* The server was not reached: what an earlier run left was not even looked at. */
	if (!g->known && journal_header(g->journal) != NULL && r != PQC_EREFUSED &&
	    r != PQC_EINTEGRITY)
		return;
	if (r == PQC_EINTEGRITY || partset_count(&g->have) == 0) {
		unlinkat(g->dirfd, g->tmp, 0);
		(void)!journal_remove(g->journal, &ignored);
	}
}
