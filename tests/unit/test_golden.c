/* Containers and a receipt that an earlier version made (tests/golden) still open, with each key. */
#include "sealed_io.h"

#include <jansson.h>
#include <stdio.h>

#include "base/text.h"

static int dir = -1;
static json_t *list;

static int setup(void **state)
{
	const char *source = getenv("PQC_SOURCE");
	char path[4096];
	struct bytes text;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/golden", source != NULL ? source : ".");
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    (fd = openat(dir, "index.json", O_RDONLY | O_CLOEXEC)) < 0) {
		print_error("%s/index.json: %s (PQC_SOURCE is the source directory)\n", path,
			    strerror(errno));
		return -1;
	}
	text = file_bytes(fd);
	list = json_loadb((const char *)text.p, text.n, 0, NULL);
	free(text.p);
	close(fd);
	return list != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	json_decref(list);
	close(dir);
	return 0;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	assert_non_null(s);
	return s;
}

static void hex_of(const json_t *o, const char *key, void *out, size_t n)
{
	assert_int_equal(hex_decode(text_of(o, key), out, n), 0);
}

static uint64_t number_of(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

static struct bytes slurp(const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct bytes b;

	assert_true(fd >= 0);
	b = file_bytes(fd);
	close(fd);
	return b;
}

/* One entry of "keys", turned into what opens. */
struct key {
	struct open_keys keys;
	struct identity *identity;
	uint8_t raw[KEY_LEN];
	struct kek kek;
};

static void key_load(const json_t *j, struct key *k)
{
	const json_t *kek = json_object_get(j, "kek");
	struct bytes text;

	memset(k, 0, sizeof(*k));
	if (json_object_get(j, "identity") != NULL) {
		text = slurp(text_of(j, "identity"));
		assert_int_equal(identity_decode(text.p, text.n, NULL, &k->identity, NULL), 0);
		k->keys.identity = k->identity;
		free(text.p);
	} else if (json_object_get(j, "raw_key") != NULL) {
		hex_of(j, "raw_key", k->raw, KEY_LEN);
		k->keys.raw_key = k->raw;
	} else if (kek != NULL) {
		hex_of(kek, "id", k->kek.id, KEK_ID_LEN);
		hex_of(kek, "key", k->kek.key, KEY_LEN);
		k->kek.version = (uint32_t)number_of(kek, "version");
		k->keys.kek = &k->kek;
	} else {
		k->keys.passphrase = text_of(j, "passphrase");
	}
}

static void check_plain(const json_t *c, const struct bytes *plain)
{
	uint8_t want[SHA512_LEN], got[SHA512_LEN];

	assert_int_equal(plain->n, number_of(c, "plain_size"));
	for (size_t i = 0; i < plain->n; i++)
		assert_int_equal(plain->p[i], (uint8_t)(31 * i + i / 256));
	hex_of(c, "plain_sha512", want, sizeof(want));
	assert_int_equal(sha512(&(struct span){plain->p, plain->n}, 1, got), 0);
	assert_memory_equal(got, want, sizeof(want));
}

static void check_result(const json_t *c, const struct open_result *r)
{
	const bool known = json_is_true(json_object_get(c, "size_known"));
	const bool e2e = json_is_true(json_object_get(c, "end_to_end"));
	uint8_t sender[ID_LEN] = {0};

	if (!json_is_null(json_object_get(c, "sender_id")))
		hex_of(c, "sender_id", sender, ID_LEN);
	assert_memory_equal(r->header.sender_id, sender, ID_LEN);
	assert_int_equal(r->header.suite->id, number_of(c, "suite"));
	assert_int_equal(r->header.part_size, number_of(c, "part_size"));
	assert_true(r->header.plain_size ==
		    (known ? number_of(c, "plain_size") : PQX_SIZE_UNKNOWN));
	assert_int_equal(r->header.flags, e2e ? PQX_FLAG_E2E : 0);
	assert_int_equal(r->time, number_of(c, "time"));
}

static void containers_open(void **state)
{
	const json_t *containers = json_object_get(list, "containers"), *c, *j;
	unsigned kinds = 0;
	size_t i, n;

	(void)state;
	assert_true(json_array_size(containers) >= 5);
	json_array_foreach(containers, i, c)
	{
		struct bytes sealed = slurp(text_of(c, "file")), plain;
		const json_t *keys = json_object_get(c, "keys");
		struct inspect_result seen;
		int fd = memory_file(sealed.p, sealed.n);

		assert_int_equal(inspect_file(fd, &seen, NULL), 0);
		close(fd);
		assert_int_equal(seen.nstanzas, json_array_size(keys));
		assert_true(seen.status == MANIFEST_SIGNED || seen.status == MANIFEST_UNSIGNED);
		for (size_t s = 0; s < seen.nstanzas; s++)
			kinds |= 1u << seen.stanza[s].type;
		assert_true(json_array_size(keys) > 0);
		json_array_foreach(keys, n, j)
		{
			struct key k;
			struct open_call o = {.o = {.threads = 2}};

			key_load(j, &k);
			o.o.keys = k.keys;
			assert_int_equal(pass(open_op, &o, n % 2 ? PIPES : FILES, &sealed, &plain),
					 0);
			check_plain(c, &plain);
			check_result(c, &o.r);
			identity_free(k.identity);
			free(plain.p);
		}
		free(sealed.p);
	}
	assert_int_equal(kinds, 0x3e); /* every kind of stanza, 1 to 5 */
}

static void receipts_verify(void **state)
{
	const json_t *receipts = json_object_get(list, "receipts"), *r;
	struct pqx_bundle b;
	uint8_t id[ID_LEN];
	size_t i;

	(void)state;
	assert_true(json_array_size(receipts) >= 1);
	json_array_foreach(receipts, i, r)
	{
		struct bytes pem = slurp(text_of(r, "file"));
		struct bytes sealed = slurp(text_of(r, "container"));

		assert_int_equal(pqx_receipt_bundle_check(pem.p, pem.n, &b, NULL), 0);
		assert_memory_equal(b.header.raw, sealed.p, PQX_HEADER_LEN);
		hex_of(r, "server_id", id, ID_LEN);
		assert_memory_equal(b.receipt.server_id, id, ID_LEN);
		hex_of(r, "client_id", id, ID_LEN);
		assert_memory_equal(b.receipt.client_id, id, ID_LEN);
		assert_int_equal(b.receipt.time, number_of(r, "time"));
		assert_int_equal(b.receipt.log_index, number_of(r, "log_index"));
		free(pem.p);
		free(sealed.p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_open),
		cmocka_unit_test(receipts_verify),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
