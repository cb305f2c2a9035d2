#include "client/inspect_json.h"

#include "base/text.h"

static const char *const status_names[] = {
	[MANIFEST_UNSEEN] = "unseen",
	[MANIFEST_BAD] = "damaged",
	[MANIFEST_SIGNED] = "signed",
	[MANIFEST_UNSIGNED] = "unsigned",
};

static void stanza_json(struct json *j, const struct stanza_info *s)
{
	json_open(j, NULL, '{');
	switch (s->type) {
	case STANZA_XWING:
	case STANZA_MLKEM1024_P384:
		json_str(j, "kind", "recipient");
		json_str(j, "kem", s->type == STANZA_XWING ? "X-Wing" : "ML-KEM-1024+P-384");
		json_hex(j, "id", s->id, ID_LEN);
		break;
	case STANZA_KEK:
		json_str(j, "kind", "key-encryption-key");
		json_hex(j, "kek_id", s->kek_id, KEK_ID_LEN);
		json_u64(j, "kek_version", s->kek_version);
		break;
	case STANZA_PASSPHRASE:
		json_str(j, "kind", "passphrase");
		json_u64(j, "argon2id_memory_kib", s->argon.m_kib);
		json_u64(j, "argon2id_passes", s->argon.t);
		json_u64(j, "argon2id_lanes", s->argon.p);
		break;
	case STANZA_RAW:
		json_str(j, "kind", "raw-key");
		break;
	}
	json_close(j, '}');
}

void inspect_json(const char *path, const struct inspect_result *r, struct json *j)
{
	const struct pqx_header *h = &r->header;
	char time[32];

	json_begin(j, "container");
	json_str(j, "path", path);
	json_str(j, "suite", h->suite->name);
	json_u64(j, "part_size", h->part_size);
	json_bool(j, "end_to_end", (h->flags & PQX_FLAG_E2E) != 0);
	json_hex(j, "file_id", h->file_id, sizeof(h->file_id));
	if (pqx_header_is_signed(h))
		json_hex(j, "sender_id", h->sender_id, ID_LEN);
	if (h->plain_size != PQX_SIZE_UNKNOWN)
		json_u64(j, "header_size", h->plain_size);
	json_u64(j, "file_size", r->file_size);
	json_str(j, "manifest", status_names[r->status]);
	if (r->status == MANIFEST_SIGNED || r->status == MANIFEST_UNSIGNED) {
		json_u64(j, "size", r->manifest.plain_size);
		json_u64(j, "parts", r->manifest.n);
		json_str(j, "time", fmt_time(r->manifest.time, time));
		json_hex(j, "root", r->manifest.root, h->suite->hash_len);
	}
	json_u64(j, "generation", r->generation);
	json_open(j, "opens_for", '[');
	for (size_t i = 0; i < r->nstanzas; i++)
		stanza_json(j, &r->stanza[i]);
	json_close(j, ']');
}
