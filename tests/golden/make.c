/*
 * Makes the golden containers: make_golden DIRECTORY, where none may be yet.
 * What they are for stands in README.md.
 */
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "client/sealfile.h"

#define PART	 65536u
#define CAPACITY 65416u	     /* plaintext bytes of a full part of 64 KiB */
#define WHEN	 1767225600u /* 2026-01-01 */

static const char passphrase[] = "correct horse battery stäple";
static const char raw_key[KEY_LEN + 1] = "raw key of the golden containers";
static const struct kek kek = {
	.id = "golden kek 0001", .version = 3, .key = "key-encryption key of the golden"};
static const struct argon2_params cheap = {8192, 2, 2};

enum person { NOBODY, ALICE, BOB };

/* One container to make. */
struct golden {
	const char *name, *what;
	unsigned suite;
	size_t plain_size;
	bool size_known;
	enum person sign;
	bool to_alice, to_bob, passphrase, raw_key, kek;
};

static const struct golden goldens[] = {
	{"empty", "no bytes: one empty part", 1, 0, true, NOBODY, .raw_key = true},
	{"parts", "a full part and one byte; signed, two kinds of recipient", 1, CAPACITY + 1, true,
	 ALICE, .to_alice = true, .to_bob = true},
	{"stream", "size unknown when sealing began; signed", 2, 16384, false, BOB, .to_bob = true},
	{"passphrase", "passphrase, not signed", 1, 16383, true, NOBODY, .passphrase = true},
	{"kek", "key-encryption key and others, so not end to end; not signed", 2, 1, false, NOBODY,
	 .to_alice = true, .raw_key = true, .kek = true},
};

static const char *const names[] = {[ALICE] = "alice", [BOB] = "bob"};

/* What is at hand while making. */
struct maker {
	int dir;
	struct identity *people[3]; /* by enum person */
	struct err e;
};

/* Byte i of every plaintext. */
static uint8_t plain_byte(size_t i)
{
	return (uint8_t)(31 * i + i / 256);
}

static int people_new(struct maker *m, const char *dir)
{
	char path[4096];
	int r;

	for (unsigned who = ALICE; who <= BOB; who++) {
		if ((r = identity_generate(suite_by_id(who), &m->people[who])) != 0)
			return err_set(&m->e, r, "no identity could be made");
		snprintf(path, sizeof(path), "%s/%s.key", dir, names[who]);
		r = identity_save(m->people[who], path, NULL, "golden", &m->e);
		if (r != 0)
			return r;
	}
	return 0;
}

/* The plaintext, through a file or, for an unknown size, through a pipe. */
static int plain_open(const struct golden *g, int *fd, struct err *e)
{
	uint8_t *p = malloc(g->plain_size + 1);
	int fds[2] = {-1, -1}, r;

	if (p == NULL)
		return err_set(e, PQC_ENOMEM, "no memory");
	for (size_t i = 0; i < g->plain_size; i++)
		p[i] = plain_byte(i);
	if (!g->size_known && pipe(fds) == 0) { /* the system's pipes hold 64 KiB: enough */
		*fd = fds[0];
		r = file_write(fds[1], p, g->plain_size, e);
		close(fds[1]);
	} else if ((*fd = memfd_create("plain", MFD_CLOEXEC)) >= 0) {
		r = file_pwrite(*fd, p, g->plain_size, 0, e);
	} else {
		r = err_set(e, PQC_EIO, "no file for the plaintext");
	}
	free(p);
	return r;
}

static int container_make(struct maker *m, const struct golden *g, int out)
{
	const struct public_identity *to[2];
	struct pqc_source from = {.kind = PQC_IO_FD};
	const struct pqc_sink sink = {.kind = PQC_IO_FD, .fd = out};
	struct seal_opts o = {.from = &from,
			      .to = &sink,
			      .suite = suite_by_id(g->suite),
			      .part_size = PART,
			      .threads = 1,
			      .sign = m->people[g->sign],
			      .time = WHEN,
			      .whom = {.recipients = to}};
	struct seal_result r;
	int rc;

	if (g->to_alice)
		to[o.whom.nrecipients++] = identity_public(m->people[ALICE]);
	if (g->to_bob)
		to[o.whom.nrecipients++] = identity_public(m->people[BOB]);
	o.whom.passphrase = g->passphrase ? passphrase : NULL;
	o.whom.argon = &cheap;
	o.whom.raw_key = g->raw_key ? (const uint8_t *)raw_key : NULL;
	o.whom.kek = g->kek ? &kek : NULL;
	if ((rc = plain_open(g, &from.fd, &m->e)) == 0) {
		rc = seal_stream(&o, &r, &m->e);
		close(from.fd);
	}
	return rc;
}

static json_t *hex(const void *p, size_t n)
{
	char text[2 * SHA512_LEN + 1];

	hex_encode(p, n, text);
	return json_string_nocheck(text);
}

static json_t *plain_hash(const struct golden *g)
{
	uint8_t *p = malloc(g->plain_size + 1), hash[SHA512_LEN];
	json_t *j = NULL;

	if (p == NULL)
		return NULL;
	for (size_t i = 0; i < g->plain_size; i++)
		p[i] = plain_byte(i);
	if (sha512(&(struct span){p, g->plain_size}, 1, hash) == 0)
		j = hex(hash, sizeof(hash));
	free(p);
	return j;
}

/* Every key that opens it, each of which has to. */
static json_t *keys_describe(const struct golden *g)
{
	json_t *keys = json_array();

	if (g->to_alice)
		json_array_append_new(keys, json_pack("{ss}", "identity", "alice.key"));
	if (g->to_bob)
		json_array_append_new(keys, json_pack("{ss}", "identity", "bob.key"));
	if (g->passphrase)
		json_array_append_new(keys, json_pack("{ss}", "passphrase", passphrase));
	if (g->raw_key)
		json_array_append_new(keys, json_pack("{so}", "raw_key", hex(raw_key, KEY_LEN)));
	if (g->kek)
		json_array_append_new(
			keys, json_pack("{s{sosiso}}", "kek", "id", hex(kek.id, KEK_ID_LEN),
					"version", (int)kek.version, "key", hex(kek.key, KEY_LEN)));
	return keys;
}

static json_t *describe(const struct maker *m, const struct golden *g, const char *file)
{
	const struct identity *by = m->people[g->sign];
	json_t *sender = by != NULL ? hex(identity_public(by)->id, ID_LEN) : json_null();

	return json_pack("{ss ss si si sI sb si sb so so so}", "file", file, "what", g->what,
			 "suite", (int)g->suite, "part_size", (int)PART, "plain_size",
			 (json_int_t)g->plain_size, "size_known", g->size_known, "time", WHEN,
			 "end_to_end", !g->kek, "sender_id", sender, "plain_sha512", plain_hash(g),
			 "keys", keys_describe(g));
}

static int golden_make(struct maker *m, const struct golden *g, json_t *list)
{
	char file[64];
	int out, r;

	snprintf(file, sizeof(file), "%s.pqx", g->name);
	if ((out = openat(m->dir, file, O_RDWR | O_CREAT | O_EXCL, 0644)) < 0)
		return err_set(&m->e, PQC_EEXIST, "%s cannot be created", file);
	r = container_make(m, g, out);
	close(out);
	if (r == 0 && json_array_append_new(list, describe(m, g, file)) != 0)
		r = err_set(&m->e, PQC_ENOMEM, "no memory");
	return r;
}

/* A receipt by bob, as a server, for the container "parts" of alice. */
static int receipt_make(struct maker *m, json_t *root)
{
	struct buf file = BUF_INIT(1u << 20), receipt = BUF_INIT(PQX_RECEIPT_MAX);
	struct buf pem = BUF_INIT(1u << 20);
	struct pqx_receipt r = {.time = WHEN + 60, .log_index = 1};
	struct pqx_header h;
	struct span manifest;
	size_t len;
	int rc;

	if ((rc = file_slurp(m->dir, "parts.pqx", &file, &m->e)) != 0)
		goto out;
	if ((rc = pqx_header_decode(file.p, &h)) != 0 ||
	    (rc = pqx_trailer_get(file.p, file.len, &len)) != 0)
		goto out;
	manifest = (struct span){file.p + file.len - PQX_TRAILER_LEN - len, len};
	memcpy(r.hc, h.hc, SHA512_LEN);
	memcpy(r.client_id, identity_public(m->people[ALICE])->id, ID_LEN);
	memset(r.log_root, 0x5a, HASH_MAX);
	if ((rc = sha512(&manifest, 1, r.manifest_hash)) != 0 ||
	    (rc = pqx_receipt_make(m->people[BOB], &r, &receipt)) != 0 ||
	    (rc = pqx_receipt_bundle_encode(h.raw, &manifest,
					    &(struct span){receipt.p, receipt.len}, &pem)) != 0 ||
	    (rc = file_create(m->dir, "parts.receipt", pem.p, pem.len, 0644, &m->e)) != 0)
		goto out;
	json_object_set_new(root, "receipts",
			    json_pack("[{ss ss so so si sI}]", "file", "parts.receipt", "container",
				      "parts.pqx", "server_id",
				      hex(identity_public(m->people[BOB])->id, ID_LEN), "client_id",
				      hex(r.client_id, ID_LEN), "time", (int)r.time, "log_index",
				      (json_int_t)r.log_index));
out:
	buf_free(&file);
	buf_free(&receipt);
	buf_free(&pem);
	return rc;
}

static int index_write(struct maker *m, const json_t *root)
{
	char *text = json_dumps(root, JSON_INDENT(2));
	int r = PQC_ENOMEM;

	if (text != NULL)
		r = file_create(m->dir, "index.json", text, strlen(text), 0644, &m->e);
	free(text);
	return r;
}

int main(int argc, char **argv)
{
	json_t *root = json_object(), *list = json_array();
	struct maker m = {.dir = -1};
	int r = PQC_EUSAGE;

	if (argc != 2 || (m.dir = open(argv[1], O_RDONLY | O_DIRECTORY)) < 0)
		err_set(&m.e, r, "usage: make_golden DIRECTORY");
	else
		r = people_new(&m, argv[1]);
	for (size_t i = 0; r == 0 && i < sizeof(goldens) / sizeof(goldens[0]); i++)
		r = golden_make(&m, &goldens[i], list);
	json_object_set_new(root, "containers", list);
	if (r == 0)
		r = receipt_make(&m, root);
	if (r == 0)
		r = index_write(&m, root);
	if (r != 0)
		fprintf(stderr, "make_golden: %s\n", m.e.code == r ? m.e.msg : err_meaning(r));
	json_decref(root);
	identity_free(m.people[ALICE]);
	identity_free(m.people[BOB]);
	if (m.dir >= 0)
		close(m.dir);
	return r == 0 ? 0 : 1;
}
