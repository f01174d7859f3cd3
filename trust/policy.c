// SPDX-License-Identifier: Apache-2.0
#include "trust/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/io.h"
#include "util/libcrypto.h"

#define SYSTEM_POLICY "/etc/arrow/policy.json"
#define POLICY_MAX (1u << 20)
#define WANTED "sigstoreSigned"

/* How the name in a signature must agree with the name of the image. */
enum identity {
	MATCH_EXACT,
	MATCH_REPOSITORY,
	MATCH_REPOSITORY_DIGEST_OR_EXACT,
};

int trust_policy_load(struct trust_policy *policy, const char *data, struct arrow_error *error)
{
	_cleanup_free_ char *own = path_format("%s/policy.json", data), *text = NULL;
	const char *path = own;
	json_error_t why;
	size_t size = 0;
	int e;

	*policy = (struct trust_policy){0};
	if (!own)
		return arrow_no_memory(error);
	e = read_file(AT_FDCWD, path, POLICY_MAX, &text, &size);
	if (e == -ENOENT) {
		path = SYSTEM_POLICY;
		e = read_file(AT_FDCWD, path, POLICY_MAX, &text, &size);
	}
	if (e == -ENOENT)
		return 0;
	if (e < 0)
		return arrow_fail(error, -e, "cannot read the policy %s: %m", path);
	policy->path = strdup(path);
	policy->json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	if (policy->path && json_is_array(json_object_get(policy->json, "default")))
		return 0;
	e = arrow_fail(error, EINVAL,
		"the policy %s cannot be used: %s; until it is repaired nothing is pulled or run",
		path, policy->json ? "it has no list \"default\"" : why.text);
	trust_policy_release(policy);
	return e;
}

void trust_policy_release(struct trust_policy *policy)
{
	free(policy->path);
	json_decref(policy->json);
	*policy = (struct trust_policy){0};
}

/* *.example.com, *.com: of a host, ever shorter. */
static const json_t *find_wildcard(const json_t *scopes, const char *host)
{
	const char *dot = strchr(host, '.');

	for (; dot; dot = strchr(dot + 1, '.')) {
		_cleanup_free_ char *key = path_format("*%.*s", (int)strcspn(dot, "/:"), dot);
		const json_t *found = key ? json_object_get(scopes, key) : NULL;

		if (found)
			return found;
		if (strcspn(dot + 1, "/:") < strcspn(dot + 1, "."))
			break;
	}
	return NULL;
}

/*
 * The requirements for an image: of the longest scope that its name is in, else the default.
 * Scopes are a whole reference, a repository, a part of its path, a host, or *.domain.
 */
static const json_t *find_requirements(const struct trust_policy *policy, const char *name)
{
	const json_t *scopes =
		json_object_get(json_object_get(policy->json, "transports"), "docker");
	_cleanup_free_ char *scope = name ? strdup(name) : NULL;
	const json_t *found = NULL;

	while (scope && *scope && !(found = json_object_get(scopes, scope))) {
		char *slash = strrchr(scope, '/'), *mark = strpbrk(slash ? slash : scope, "@:");

		/* First the digest or tag goes, then one part of the path after the other. */
		if (slash && mark)
			*mark = '\0';
		else if (slash)
			*slash = '\0';
		else
			break;
	}
	if (!found && scope)
		found = find_wildcard(scopes, scope);
	if (!found && name)
		found = json_object_get(scopes, "");
	return found ? found : json_object_get(policy->json, "default");
}

bool trust_policy_wants_signatures(const struct trust_policy *policy, const char *name)
{
	const json_t *requirement;
	size_t i;

	if (!policy->json)
		return false;
	json_array_foreach (find_requirements(policy, name), i, requirement) {
		const char *type = json_string_value(json_object_get(requirement, "type"));

		if (type && strcmp(type, WANTED) == 0)
			return true;
	}
	return false;
}

/* "docker.io/library/busybox" of a whole reference; the caller owns it. */
static char *repository_of(const char *reference)
{
	const char *slash = strrchr(reference, '/');
	const char *path = slash ? slash : reference;

	return strndup(reference, (size_t)(path - reference) + strcspn(path, ":@"));
}

static bool identity_fits(enum identity how, const char *name, const char *signed_name)
{
	_cleanup_free_ char *a = repository_of(name), *b = repository_of(signed_name);

	if (strcmp(name, signed_name) == 0)
		return true;
	if (!a || !b || strcmp(a, b) != 0)
		return false;
	return how == MATCH_REPOSITORY ||
	       (how == MATCH_REPOSITORY_DIGEST_OR_EXACT && strchr(name, '@'));
}

/* Whether one of the keys signed one of the digests under that name. */
static int check_keys(const struct trust_key *keys, size_t n_keys, enum identity how,
	const char *name, const char *const *digests, const struct signatures *s,
	struct arrow_error *error)
{
	_cleanup_free_ char *other = NULL;

	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < n_keys; k++) {
			struct signature_claim claim;
			bool fits = false;
			int r = signature_verify(&s->v[i], &keys[k], &claim);

			if (r < 0)
				return arrow_no_memory(error);
			if (r == 0)
				continue;
			for (size_t d = 0; digests[d]; d++)
				fits |= strcmp(digests[d], claim.digest) == 0;
			if (fits && identity_fits(how, name, claim.reference)) {
				signature_claim_release(&claim);
				return 0;
			}
			if (fits && !other)
				other = STEAL(claim.reference);
			signature_claim_release(&claim);
		}
	}
	if (other)
		return arrow_fail(error, EKEYREJECTED,
			"%s is signed under another name, %.200s; ask its maker to sign it under this one",
			name, other);
	return arrow_fail(error, EKEYREJECTED,
		"%s is not signed by %s%s; ask its maker for a signature ('arrow image sign'), and pull it again",
		name, n_keys == 1 ? keys[0].name : "any of the keys that may",
		s->n ? " (other signatures there are)" : "");
}

int trust_key_check(const struct trust_key *key, const char *name, const char *const *digests,
	const struct signatures *signatures, struct arrow_error *error)
{
	return check_keys(key, 1, MATCH_REPOSITORY, name, digests, signatures, error);
}

/* A requirement that is taken apart. */
struct requirement {
	struct trust_key *keys; /* owned */
	size_t n;
	enum identity how;
};

static void requirement_release(struct requirement *r)
{
	for (size_t i = 0; i < r->n; i++)
		trust_key_release(&r->keys[i]);
	free(r->keys);
	*r = (struct requirement){0};
}

static int bad_policy(const struct trust_policy *policy, const char *name, const char *what,
	struct arrow_error *error)
{
	return arrow_fail(error, EKEYREJECTED,
		"the policy %s has a requirement for %s that Arrow does not know: %s; the image is refused",
		policy->path, name, what);
}

/* "keyData": a PEM file in base64. */
static int parse_key_data(
	struct trust_key *key, const char *data, const char *path, struct arrow_error *error)
{
	size_t n = strlen(data);
	_cleanup_free_ unsigned char *pem = calloc(1, n / 4 * 3 + 1);
	int r = libcrypto_load(error), size;

	if (r < 0)
		return r;
	size = pem && n % 4 == 0 && n <= POLICY_MAX
		       ? EVP_DecodeBlock(pem, (const unsigned char *)data, (int)n)
		       : -1;
	if (size < 0)
		return arrow_fail(
			error, EINVAL, "the keyData in the policy %s is not valid base64", path);
	return trust_key_parse_public(key, (char *)pem, strlen((char *)pem), path, error);
}

static int read_keys(struct requirement *r, const struct trust_policy *policy, const json_t *json,
	const char *name, struct arrow_error *error)
{
	const char *path = json_string_value(json_object_get(json, "keyPath"));
	const char *data = json_string_value(json_object_get(json, "keyData"));
	json_t *paths = json_object_get(json, "keyPaths"), *one;
	size_t i;
	int e = 0;

	r->keys = calloc(json_array_size(paths) + 1, sizeof(*r->keys));
	if (!r->keys)
		return arrow_no_memory(error);
	if (!!path + !!data + !!paths != 1)
		return bad_policy(policy, name, "exactly one of keyPath, keyPaths, keyData", error);
	if (path)
		e = trust_key_read_public(&r->keys[r->n++], path, error);
	else if (data)
		e = parse_key_data(&r->keys[r->n++], data, policy->path, error);
	json_array_foreach (paths, i, one) {
		if (e == 0 && !json_is_string(one))
			e = bad_policy(policy, name, "keyPaths that are no texts", error);
		else if (e == 0)
			e = trust_key_read_public(&r->keys[r->n++], json_string_value(one), error);
	}
	if (e == 0 && r->n == 0)
		e = bad_policy(policy, name, "no key", error);
	return e;
}

static int read_requirement(struct requirement *r, const struct trust_policy *policy,
	const json_t *json, const char *name, struct arrow_error *error)
{
	static const char *const known[] = {
		"type", "keyPath", "keyPaths", "keyData", "signedIdentity", NULL};
	const json_t *identity = json_object_get(json, "signedIdentity");
	const char *how = json_string_value(json_object_get(identity, "type"));
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)json, key, value) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return bad_policy(policy, name, key, error);
	}
	if (!identity || (how && strcmp(how, "matchRepoDigestOrExact") == 0))
		r->how = MATCH_REPOSITORY_DIGEST_OR_EXACT;
	else if (how && strcmp(how, "matchRepository") == 0)
		r->how = MATCH_REPOSITORY;
	else if (how && strcmp(how, "matchExact") == 0)
		r->how = MATCH_EXACT;
	else
		return bad_policy(policy, name, how ? how : "signedIdentity", error);
	return read_keys(r, policy, json, name, error);
}

static int check_requirement(const struct trust_policy *policy, const json_t *json,
	const char *name, const char *const *digests, const struct signatures *signatures,
	struct arrow_error *error)
{
	const char *type = json_string_value(json_object_get(json, "type"));
	struct requirement r = {0};
	int e;

	if (type && strcmp(type, "insecureAcceptAnything") == 0)
		return 0;
	if (type && strcmp(type, "reject") == 0)
		return arrow_fail(
			error, EKEYREJECTED, "the policy %s rejects %s", policy->path, name);
	if (!type || strcmp(type, WANTED) != 0)
		return bad_policy(policy, name, type ? type : "a type", error);
	e = read_requirement(&r, policy, json, name, error);
	if (e == 0)
		e = check_keys(r.keys, r.n, r.how, name, digests, signatures, error);
	requirement_release(&r);
	return e;
}

int trust_policy_check(const struct trust_policy *policy, const char *name,
	const char *const *digests, const struct signatures *signatures, struct arrow_error *error)
{
	const char *what = name ? name : "an image without a name";
	const json_t *requirements, *one;
	size_t i;
	int e = 0;

	if (!policy->json)
		return 0;
	requirements = find_requirements(policy, name);
	if (json_array_size(requirements) == 0)
		return bad_policy(policy, what, "an empty list", error);
	/* All of them must hold. */
	json_array_foreach (requirements, i, one) {
		if (e == 0)
			e = check_requirement(policy, one, what, digests, signatures, error);
	}
	return e;
}

static int check_named(const struct trust_policy *policy, const struct oci_store *store,
	const struct oci_image *image, const char *name, struct arrow_error *error)
{
	const char *digests[] = {image->top.digest, image->descriptor.digest, NULL};
	_cleanup_signatures_ struct signatures signatures = {0};
	int e = 0;

	if (trust_policy_wants_signatures(policy, name)) {
		e = signatures_load(&signatures, store, digests[0], error);
		if (e == 0 && strcmp(digests[0], digests[1]) != 0)
			e = signatures_load(&signatures, store, digests[1], error);
	}
	return e < 0 ? e : trust_policy_check(policy, name, digests, &signatures, error);
}

/* The whole name that a user's word found this image by; NULL for an id, or a name that it lost. */
static char *find_name(
	const struct oci_store *store, const struct oci_image *image, const char *asked)
{
	_cleanup_error_ struct arrow_error ignored = ARROW_ERROR_INIT;
	struct oci_image found;
	char *name = NULL;

	if (oci_image_find(&found, store, asked, image->config.platform.architecture, &ignored) < 0)
		return NULL;
	if (strcmp(found.descriptor.digest, image->descriptor.digest) == 0)
		name = STEAL(found.name);
	oci_image_release(&found);
	return name;
}

int trust_check_image(const char *data, const struct oci_store *store,
	const struct oci_image *image, const char *asked, struct arrow_error *error)
{
	_cleanup_policy_ struct trust_policy policy = {0};
	_cleanup_entries_ struct oci_entries entries = {0};
	_cleanup_free_ char *name = NULL;
	bool named = false;
	int e = trust_policy_load(&policy, data, error);

	if (e < 0 || !policy.json)
		return e;
	name = find_name(store, image, asked);
	if (name)
		return check_named(&policy, store, image, name, error);
	e = oci_store_list(store, &entries, error);
	for (size_t i = 0; e == 0 && i < entries.n; i++) {
		if (!entries.v[i].name ||
			(strcmp(entries.v[i].descriptor.digest, image->top.digest) != 0 &&
				strcmp(entries.v[i].descriptor.digest, image->descriptor.digest) !=
					0))
			continue;
		arrow_error_clear(error);
		named = true;
		if (check_named(&policy, store, image, entries.v[i].name, error) == 0)
			return 0;
	}
	if (e < 0 || named)
		return e < 0 ? e : -EKEYREJECTED;
	return check_named(&policy, store, image, NULL, error);
}
