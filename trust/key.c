// SPDX-License-Identifier: Apache-2.0
/* Keys, and what they sign. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "trust/signature.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/libcrypto.h"

#define KEY_FILE_MAX 65536u
#define PAYLOAD_KIND "cosign container image signature"

static void cleanup_md(EVP_MD_CTX **md)
{
	EVP_MD_CTX_free(*md);
}

/* Takes over a key if it is of a kind that we sign with. */
static int key_adopt(struct trust_key *key, EVP_PKEY *pkey, const char *name, const char *kind,
	struct arrow_error *error)
{
	int bits = pkey ? EVP_PKEY_get_bits(pkey) : 0;

	ERR_clear_error();
	*key = (struct trust_key){0};
	if (!pkey)
		return arrow_fail(error, EINVAL,
			"%s does not hold a %s key in PEM form; make one with 'openssl genpkey' (see docs/trust.md)",
			name, kind);
	if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519 &&
		(EVP_PKEY_get_base_id(pkey) != EVP_PKEY_EC || bits < 256 || bits > 384)) {
		EVP_PKEY_free(pkey);
		return arrow_fail(
			error, ENOTSUP, "%s is not an ed25519 or ECDSA P-256 or P-384 key", name);
	}
	key->key = pkey;
	key->name = strdup(name);
	if (!key->name) {
		trust_key_release(key);
		return arrow_no_memory(error);
	}
	return 0;
}

int trust_key_read_private(struct trust_key *key, const char *path, struct arrow_error *error)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	int r = libcrypto_load(error);

	*key = (struct trust_key){0};
	if (r < 0)
		return r;
	if (!f)
		return arrow_fail(error, errno, "cannot read the key %s: %m", path);
	return key_adopt(key, PEM_read_PrivateKey(f, NULL, NULL, NULL), path, "private", error);
}

int trust_key_parse_public(struct trust_key *key, const char *pem, size_t size, const char *name,
	struct arrow_error *error)
{
	int r = libcrypto_load(error);
	EVP_PKEY *pkey;
	BIO *bio;

	*key = (struct trust_key){0};
	if (r < 0)
		return r;
	bio = size <= KEY_FILE_MAX ? BIO_new_mem_buf(pem, (int)size) : NULL;
	pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	BIO_free(bio);
	return key_adopt(key, pkey, name, "public", error);
}

int trust_key_read_public(struct trust_key *key, const char *path, struct arrow_error *error)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int e = read_file(AT_FDCWD, path, KEY_FILE_MAX, &text, &size);

	*key = (struct trust_key){0};
	if (e < 0)
		return arrow_fail(error, -e, "cannot read the key %s: %m", path);
	return trust_key_parse_public(key, text, size, path, error);
}

void trust_key_release(struct trust_key *key)
{
	if (key->key)
		EVP_PKEY_free(key->key);
	free(key->name);
	*key = (struct trust_key){0};
}

/* Ed25519 hashes by itself. */
static const EVP_MD *hash_of(const struct trust_key *key)
{
	return EVP_PKEY_get_base_id(key->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
}

static char *key_sign(const struct trust_key *key, const char *payload, size_t size)
{
	__attribute__((cleanup(cleanup_md))) EVP_MD_CTX *md = EVP_MD_CTX_new();
	_cleanup_free_ unsigned char *raw = NULL;
	unsigned char *text;
	size_t n = 0;

	if (!md || EVP_DigestSignInit(md, NULL, hash_of(key), NULL, key->key) != 1 ||
		EVP_DigestSign(md, NULL, &n, (const unsigned char *)payload, size) != 1 ||
		!(raw = malloc(n)) ||
		EVP_DigestSign(md, raw, &n, (const unsigned char *)payload, size) != 1)
		return NULL;
	text = calloc(1, (n + 2) / 3 * 4 + 1);
	if (text)
		EVP_EncodeBlock(text, raw, (int)n);
	return (char *)text;
}

int signature_make(struct signatures *s, const struct trust_key *key, const char *digest,
	const char *reference, struct arrow_error *error)
{
	json_t *json = json_pack("{s:{s:{s:s}, s:{s:s}, s:s}, s:n}", "critical", "identity",
		"docker-reference", reference, "image", "docker-manifest-digest", digest, "type",
		PAYLOAD_KIND, "optional");
	char *payload = json ? json_dumps(json, JSON_COMPACT) : NULL;
	char *value = payload ? key_sign(key, payload, strlen(payload)) : NULL;

	json_decref(json);
	ERR_clear_error();
	if (!value) {
		free(payload);
		return arrow_fail(error, EIO, "cannot sign with the key %s", key->name);
	}
	if (signatures_add(s, payload, strlen(payload), value) < 0)
		return arrow_fail(
			error, E2BIG, "%s has more signatures than %u", reference, SIGNATURES_MAX);
	return 0;
}

void signature_claim_release(struct signature_claim *claim)
{
	free(claim->digest);
	free(claim->reference);
	*claim = (struct signature_claim){0};
}

/* Whether the bytes are signed. */
static bool is_signed(const struct signature *s, const struct trust_key *key)
{
	__attribute__((cleanup(cleanup_md))) EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = strlen(s->value), pad = 0;
	_cleanup_free_ unsigned char *raw = NULL;
	int size;
	bool good;

	if (n == 0 || n % 4 != 0 || n > 4096)
		return false;
	while (pad < 2 && s->value[n - 1 - pad] == '=')
		pad++;
	raw = malloc(n / 4 * 3 + 1);
	size = raw ? EVP_DecodeBlock(raw, (const unsigned char *)s->value, (int)n) : -1;
	good = md && size > (int)pad &&
	       EVP_DigestVerifyInit(md, NULL, hash_of(key), NULL, key->key) == 1 &&
	       EVP_DigestVerify(md, raw, (size_t)size - pad, (const unsigned char *)s->payload,
		       s->size) == 1;
	ERR_clear_error();
	return good;
}

int signature_verify(
	const struct signature *s, const struct trust_key *key, struct signature_claim *claim)
{
	const char *digest = NULL, *reference = NULL, *kind = NULL;
	json_t *json;
	int r = 0;

	*claim = (struct signature_claim){0};
	/* Nothing is read of a payload before its signature is good. */
	if (!is_signed(s, key))
		return 0;
	json = json_loadb(s->payload, s->size, JSON_REJECT_DUPLICATES, NULL);
	if (json &&
		json_unpack(json, "{s:{s:{s:s}, s:{s:s}, s:s}}", "critical", "identity",
			"docker-reference", &reference, "image", "docker-manifest-digest", &digest,
			"type", &kind) == 0 &&
		strcmp(kind, PAYLOAD_KIND) == 0) {
		claim->digest = strdup(digest);
		claim->reference = strdup(reference);
		r = claim->digest && claim->reference ? 1 : -ENOMEM;
		if (r < 0)
			signature_claim_release(claim);
	}
	json_decref(json);
	return r;
}
