// SPDX-License-Identifier: Apache-2.0
/* Signatures and policies, with keys of OpenSSL and images of the store's own making. */
#include "tests/unit/fixture.h"

#include "trust/policy.h"
#include "trust/sign.h"

#define NAME "registry.example/team/app:1"

/* What each test needs: keys, a store with one image. */
struct world {
	struct oci_store store;
	struct oci_image image;
	struct arrow_error error;
};

static void put(struct world *w, const char *type, const char *text, struct oci_descriptor *d)
{
	assert_int_equal(oci_blob_put(&w->store, type, text, strlen(text), NULL, d, &w->error), 0);
}

static void make_keys(void)
{
	shell("openssl genpkey -algorithm ed25519 -out ed.key; openssl pkey -in ed.key -pubout "
	      "-out ed.pub;"
	      "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.key;"
	      "openssl pkey -in ec.key -pubout -out ec.pub;"
	      "openssl genpkey -algorithm ed25519 -out other.key;"
	      "openssl pkey -in other.key -pubout -out other.pub;"
	      "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key 2>/dev/null;"
	      "openssl pkey -in rsa.key -pubout -out rsa.pub");
}

static void make_world(struct world *w)
{
	_cleanup_descriptor_ struct oci_descriptor config = {0}, manifest = {0};
	_cleanup_reference_ struct oci_reference reference = {0};
	_cleanup_free_ char *text = NULL;

	*w = (struct world){.error = ARROW_ERROR_INIT};
	make_keys();
	assert_int_equal(oci_store_open(&w->store, "data", &w->error), 0);
	put(w, OCI_TYPE_CONFIG,
		"{\"architecture\":\"amd64\",\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
		"\"diff_ids\":[]}}",
		&config);
	text = path_format("{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_MANIFEST
			   "\",\"config\":{\"mediaType\":\"" OCI_TYPE_CONFIG
			   "\",\"digest\":\"%s\",\"size\":%llu},\"layers\":[]}",
		config.digest, (unsigned long long)config.size);
	put(w, OCI_TYPE_MANIFEST, text, &manifest);
	assert_int_equal(oci_reference_parse(&reference, NAME, &w->error), 0);
	assert_int_equal(oci_store_tag(&w->store, &reference, &manifest, NULL, &w->error), 0);
	assert_int_equal(oci_image_find(&w->image, &w->store, NAME, "amd64", &w->error), 0);
}

static void free_world(struct world *w)
{
	oci_image_release(&w->image);
	oci_store_release(&w->store);
	arrow_error_clear(&w->error);
}

static void sign_with(struct world *w, const char *path)
{
	_cleanup_key_ struct trust_key key = {0};

	assert_int_equal(trust_key_read_private(&key, path, &w->error), 0);
	assert_int_equal(trust_sign(&w->store, NAME, &key, NULL, &w->error), 0);
}

/* Judges the image under a policy. Returns whether it may run. */
static bool judged(struct world *w, const char *policy)
{
	int e;

	write_text("data/policy.json", policy);
	arrow_error_clear(&w->error);
	e = trust_check_image("data", &w->store, &w->image, NAME, &w->error);
	assert_true(e == 0 || (e < 0 && w->error.text && !strchr(w->error.text, '\n')));
	return e == 0;
}

#define POLICY(team)                                                                               \
	"{\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": "                    \
	"{\"registry.example/team\": [" team "]}}}"
#define SIGNED(rest) "{\"type\": \"sigstoreSigned\", " rest "}"

static void test_sign_and_verify(void **state)
{
	static const char *const keys[][2] = {{"ed.key", "ed.pub"}, {"ec.key", "ec.pub"}};
	struct world w;

	make_world(&w);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *policy = path_format(
			"{\"default\": [{\"type\": \"sigstoreSigned\", \"keyPath\": \"%s\"}]}",
			keys[i][1]);

		assert_false(judged(&w, policy));
		sign_with(&w, keys[i][0]);
		assert_true(judged(&w, policy));
	}
	/* The first signature is still there, and a third key's is not. */
	assert_true(judged(&w, POLICY(SIGNED("\"keyPath\": \"ed.pub\""))));
	assert_false(judged(&w, POLICY(SIGNED("\"keyPath\": \"other.pub\""))));
	assert_true(judged(&w, POLICY(SIGNED("\"keyPaths\": [\"other.pub\", \"ed.pub\"]"))));
	assert_true(judged(&w,
		POLICY(SIGNED("\"keyPath\": \"ed.pub\"") "," SIGNED("\"keyPath\": \"ec.pub\""))));
	assert_false(judged(&w, POLICY(SIGNED("\"keyPath\": \"ed.pub\"") "," SIGNED(
					"\"keyPath\": \"other.pub\""))));
	free_world(&w);
}

static void test_no_policy_accepts(void **state)
{
	struct world w;

	make_world(&w);
	assert_int_equal(trust_check_image("data", &w.store, &w.image, NAME, &w.error), 0);
	free_world(&w);
}

static void test_scopes(void **state)
{
	static const char *const accept = "[{\"type\": \"insecureAcceptAnything\"}]";
	static const struct {
		const char *scope;
		bool fits;
	} cases[] = {{"registry.example/team/app:1", true}, {"registry.example/team/app", true},
		{"registry.example/team", true}, {"registry.example", true}, {"*.example", true},
		{"", true}, {"registry.example/team/app:2", false}, {"registry.example/te", false},
		{"example", false}, {"*.registry.example", false},
		{"registry.example:5000", false}};
	struct world w;

	make_world(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *policy = path_format(
			"{\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": {\"%s\": %s}}}",
			cases[i].scope, accept);

		if (judged(&w, policy) != cases[i].fits)
			fail_msg("scope '%s'", cases[i].scope);
	}
	/* The longest counts. */
	assert_false(judged(&w,
		"{\"default\": [{\"type\": \"insecureAcceptAnything\"}], "
		"\"transports\": {\"docker\": {\"registry.example\": [{\"type\": \"insecureAcceptAnything\"}], \"registry.example/team\": [{\"type\": \"reject\"}]}}}"));
	free_world(&w);
}

static void test_bad_policies_refuse(void **state)
{
	static const char *const policies[] = {"", "{", "[]", "{}", "{\"default\": {}}",
		"{\"default\": []}", "{\"default\": [{}]}", "{\"default\": [{\"type\": 1}]}",
		"{\"default\": [{\"type\": \"signedBy\"}]}",
		POLICY(SIGNED("\"keyPath\": \"none\"")), POLICY(SIGNED("\"x\": 1")),
		POLICY(SIGNED("\"keyPaths\": []")), POLICY(SIGNED("\"keyPath\": \"rsa.pub\"")),
		POLICY(SIGNED("\"keyData\": \"%%\"")),
		POLICY(SIGNED("\"keyPath\": \"ed.pub\", \"keyData\": \"YQ==\"")),
		POLICY(SIGNED("\"keyPath\": \"ed.pub\", \"fulcio\": {}")),
		POLICY(SIGNED("\"keyPath\": \"ed.pub\", \"signedIdentity\": {\"type\": \"x\"}"))};
	struct world w;

	make_world(&w);
	sign_with(&w, "ed.key");
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++)
		if (judged(&w, policies[i]))
			fail_msg("accepted by %s", policies[i]);
	assert_true(judged(&w, POLICY(SIGNED("\"keyPath\": \"ed.pub\""))));
	free_world(&w);
}

static void test_identity(void **state)
{
#define MATCH(how)                                                                                 \
	POLICY(SIGNED("\"keyPath\": \"ed.pub\", \"signedIdentity\": {\"type\": \"" how "\"}"))
	static const struct {
		const char *signed_as;
		bool exact, repository;
	} cases[] = {{NAME, true, true}, {"registry.example/team/app:2", false, true},
		{"registry.example/team/app", false, true},
		{"registry.example/team/ap", false, false},
		{"evil.example/team/app:1", false, false}, {"", false, false}};
	struct world w;

	make_world(&w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_descriptor_ struct oci_descriptor d = {0};
		_cleanup_signatures_ struct signatures s = {0};
		_cleanup_key_ struct trust_key key = {0};

		assert_int_equal(trust_key_read_private(&key, "ed.key", &w.error), 0);
		assert_int_equal(
			signature_make(&s, &key, w.image.top.digest, cases[i].signed_as, &w.error),
			0);
		assert_int_equal(signatures_save(&s, &w.store, &w.image.top, &d, &w.error), 0);
		assert_int_equal(judged(&w, MATCH("matchExact")), cases[i].exact);
		assert_int_equal(judged(&w, MATCH("matchRepoDigestOrExact")), cases[i].exact);
		assert_int_equal(judged(&w, MATCH("matchRepository")), cases[i].repository);
		assert_int_equal(oci_store_forget(&w.store, d.digest, NULL, NULL, &w.error), 0);
	}
	free_world(&w);
}

/* Two who sign at once, and so do not see each other's: both signatures count. */
static void signatures_made_at_once_are_all_kept(void **state)
{
	static const char *const keys[] = {"ed.key", "ec.key"};
	_cleanup_signatures_ struct signatures kept = {0};
	struct signatures made[2] = {{0}, {0}};
	struct world w;

	make_world(&w);
	for (size_t i = 0; i < 2; i++) {
		_cleanup_key_ struct trust_key key = {0};

		assert_int_equal(trust_key_read_private(&key, keys[i], &w.error), 0);
		assert_int_equal(
			signature_make(&made[i], &key, w.image.top.digest, NAME, &w.error), 0);
	}
	for (size_t i = 0; i < 2; i++) {
		_cleanup_descriptor_ struct oci_descriptor d = {0};

		assert_int_equal(
			signatures_save(&made[i], &w.store, &w.image.top, &d, &w.error), 0);
	}
	assert_int_equal(signatures_load(&kept, &w.store, w.image.top.digest, &w.error), 0);
	assert_int_equal(kept.n, 2);
	for (size_t i = 0; i < 2; i++)
		signatures_release(&made[i]);
	free_world(&w);
}

/* One manifest of signatures, of which each is another, as it lies in the store. */
static int read_many(size_t n, size_t payload, struct arrow_error *error)
{
	struct signature_layers layers;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	int r;

	fputs("{\"layers\": [", f);
	for (size_t i = 0; i < n; i++)
		fprintf(f,
			"%s{\"mediaType\": \"application/vnd.dev.cosign.simplesigning.v1+json\", "
			"\"size\": %zu, \"digest\": \"sha256:%064zu\", \"annotations\": "
			"{\"dev.cosignproject.cosign/signature\": \"x\"}}",
			i ? ", " : "", payload, i);
	fputs("]}", f);
	assert_int_equal(fclose(f), 0);
	r = signature_layers_read(&layers, text, size, "it", error);
	if (r == 0) {
		assert_int_equal(layers.n, n);
		signature_layers_release(&layers);
	}
	free(text);
	return r;
}

static void there_are_only_so_many_signatures(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_signatures_ struct signatures s = {0};

	assert_int_equal(read_many(128, 65536, &e), 0);
	assert_int_equal(read_many(129, 1, &e), -E2BIG);
	assert_non_null(strstr(e.text, "129 signatures, more than the 128 allowed"));
	arrow_error_clear(&e);
	assert_int_equal(read_many(1, 65537, &e), -E2BIG);
	assert_non_null(strstr(e.text, "more than 65536 bytes"));
	for (int i = 0; i < 129; i++) {
		char *payload = path_format("%d", i);

		assert_int_equal(signatures_add(&s, payload, strlen(payload), strdup("x")),
			i < 128 ? 0 : -E2BIG);
	}
	assert_int_equal(s.n, 128);
}

/* A good signature of something else, and one whose payload was changed. */
static void test_forged(void **state)
{
	_cleanup_signatures_ struct signatures s = {0}, forged = {0};
	_cleanup_descriptor_ struct oci_descriptor d = {0};
	_cleanup_key_ struct trust_key key = {0}, pub = {0};
	struct signature_claim claim;
	struct world w;
	char *text, *digit;

	make_world(&w);
	assert_int_equal(trust_key_read_private(&key, "ec.key", &w.error), 0);
	assert_int_equal(trust_key_read_public(&pub, "ec.pub", &w.error), 0);
	assert_int_equal(
		signature_make(&s, &key, w.image.manifest.config.digest, NAME, &w.error), 0);
	assert_int_equal(signatures_save(&s, &w.store, &w.image.top, &d, &w.error), 0);
	assert_false(judged(&w, POLICY(SIGNED("\"keyPath\": \"ec.pub\""))));

	assert_int_equal(signature_verify(&s.v[0], &pub, &claim), 1);
	assert_string_equal(claim.digest, w.image.manifest.config.digest);
	signature_claim_release(&claim);
	text = strdup(s.v[0].payload);
	digit = strstr(text, "sha256:");
	assert_non_null(digit);
	memcpy(digit, w.image.top.digest, strlen(w.image.top.digest));
	assert_int_equal(signatures_add(&forged, text, strlen(text), strdup(s.v[0].value)), 0);
	assert_int_equal(signature_verify(&forged.v[0], &pub, &claim), 0);
	free_world(&w);
}

/* What OpenSSL's own command makes of payload and signature. */
static void test_openssl_agrees(void **state)
{
	_cleanup_signatures_ struct signatures s = {0};
	_cleanup_key_ struct trust_key key = {0};
	struct world w;

	make_world(&w);
	assert_int_equal(trust_key_read_private(&key, "ec.key", &w.error), 0);
	assert_int_equal(signature_make(&s, &key, w.image.top.digest, NAME, &w.error), 0);
	write_text("payload", s.v[0].payload);
	write_text("value", s.v[0].value);
	shell("base64 -d <value >signature; openssl dgst -sha256 -verify ec.pub -signature signature payload");
	free_world(&w);
}

static void test_keys_that_are_none(void **state)
{
	static const char *const files[] = {"rsa.key", "ed.pub", "none", "text"};
	struct arrow_error error = ARROW_ERROR_INIT;

	make_keys();
	write_text("text", "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n");
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		struct trust_key key;

		assert_true(trust_key_read_private(&key, files[i], &error) < 0);
		assert_non_null(strstr(error.text, files[i]));
		arrow_error_clear(&error);
		trust_key_release(&key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FIXTURE_TEST(test_sign_and_verify),
		FIXTURE_TEST(test_no_policy_accepts),
		FIXTURE_TEST(test_scopes),
		FIXTURE_TEST(test_bad_policies_refuse),
		FIXTURE_TEST(test_identity),
		FIXTURE_TEST(signatures_made_at_once_are_all_kept),
		cmocka_unit_test(there_are_only_so_many_signatures),
		FIXTURE_TEST(test_forged),
		FIXTURE_TEST(test_openssl_agrees),
		FIXTURE_TEST(test_keys_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
