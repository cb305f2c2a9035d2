/* The JSON of a name's entry and of an object's info. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "store/store_impl.h"

int record_encode(const struct record *r, struct buf *b)
{
	char file_id[HEX_ID], owner[HEX_ID], previous[HEX_ID];
	json_t *root;
	char *text;
	int rc = PQC_ENOMEM;

	hex_encode(r->info.file_id, FILE_ID_LEN, file_id);
	hex_encode(r->info.owner, ID_LEN, owner);
	hex_encode(r->previous, FILE_ID_LEN, previous);
	root = json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I}", "name", r->info.name, "file_id",
			 file_id, "owner", owner, "previous", r->replaced ? previous : NULL, "size",
			 (json_int_t)r->info.size, "time", (json_int_t)r->info.time);
	text = root != NULL ? json_dumps(root, JSON_COMPACT) : NULL;
	if (text != NULL) {
		buf_put_str(b, text);
		buf_put_u8(b, '\n');
		rc = buf_error(b);
	}
	free(text);
	json_decref(root);
	return rc;
}

static int get_previous(const json_t *value, struct record *r)
{
	r->replaced = !json_is_null(value);
	if (!r->replaced)
		return 0;
	return json_is_string(value) ? hex_decode(json_string_value(value), r->previous, 32)
				     : PQC_EINTEGRITY;
}

static int get_fields(json_t *root, struct record *r)
{
	const char *name, *file_id, *owner;
	json_int_t size, time;
	json_t *previous;

	if (json_unpack(root, "{s:s, s:s, s:s, s:o, s:I, s:I !}", "name", &name, "file_id",
			&file_id, "owner", &owner, "previous", &previous, "size", &size, "time",
			&time) != 0)
		return PQC_EINTEGRITY;
	if (name_check(name, strlen(name), NULL) != 0 || size < 0 || time < 0)
		return PQC_EINTEGRITY;
	if (hex_decode(file_id, r->info.file_id, FILE_ID_LEN) != 0 ||
	    hex_decode(owner, r->info.owner, ID_LEN) != 0 || get_previous(previous, r) != 0)
		return PQC_EINTEGRITY;
	strcpy(r->info.name, name); /* name_check bounds it to NAME_MAX_LEN */
	r->info.size = (uint64_t)size;
	r->info.time = (uint64_t)time;
	return 0;
}

int record_decode(const struct buf *b, struct record *r, struct err *e)
{
	json_error_t why;
	json_t *root = json_loadb((const char *)b->p, b->len, JSON_REJECT_DUPLICATES, &why);
	int rc = PQC_EINTEGRITY;

	if (root == NULL && json_error_code(&why) == json_error_out_of_memory)
		return err_set(e, PQC_ENOMEM, "no memory to read it");
	memset(r, 0, sizeof(*r));
	if (root != NULL)
		rc = get_fields(root, r);
	json_decref(root);
	if (rc != 0)
		err_set(e, rc, "damaged: this is no entry that the server wrote");
	return rc;
}
