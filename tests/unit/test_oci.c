// SPDX-License-Identifier: Apache-2.0
/* References, manifests and the image store. */
#include "tests/unit/fixture.h"

#include <errno.h>
#include <sys/wait.h>

#include "image/oci/image.h"
#include "util/digest.h"

#define SUM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SUM_REF "sha256:" SUM

static void reference_completes(void **state)
{
	static const char *const cases[][3] = {
		{"busybox", "docker.io/library/busybox:latest", "busybox"},
		{"user/tool:1.0", "docker.io/user/tool:1.0", "user/tool"},
		{"docker.io/busybox", "docker.io/library/busybox:latest", "busybox"},
		{"index.docker.io/a/b", "docker.io/a/b:latest", "a/b"},
		{"localhost/x", "localhost/x:latest", "localhost/x"},
		{"localhost:5000/a/b/c:T_.-1", "localhost:5000/a/b/c:T_.-1",
			"localhost:5000/a/b/c"},
		{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x"},
		{"example.com/x@" SUM_REF, "example.com/x@" SUM_REF, "example.com/x"},
		{"x:1@" SUM_REF, "docker.io/library/x:1@" SUM_REF, "x"},
		{"UPPER/x", "UPPER/x:latest", "UPPER/x"},
		{"a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest", "a__b/c.d-e--f"},
		{"library/a/b", "docker.io/library/a/b:latest", "library/a/b"},
		{"x:5000/y", "x:5000/y:latest", "x:5000/y"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_reference_ struct oci_reference r;
		_cleanup_free_ char *whole = NULL, *familiar = NULL;

		if (oci_reference_parse(&r, cases[i][0], &e) < 0)
			fail_msg("%s: %s", cases[i][0], e.text);
		whole = oci_reference_format(&r);
		familiar = oci_reference_familiar(&r);
		assert_string_equal(whole, cases[i][1]);
		assert_string_equal(familiar, cases[i][2]);
	}
}

static void reference_refuses(void **state)
{
	static const char *const cases[] = {"", ":", "a:", "/a", "a/", "a//b", "A", "a/B", "-a",
		"a-", "a..b", "a___b", "a._b", "a:-x", "a:.x", "a:x/y/", "a b", "a\nb",
		"a@sha256:12", "a@md5:0123456789abcdef0123456789abcdef",
		"a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0", SUM,
		"-x.com/a", "x-.com/a", "x.com:/a", "x.com:123456/a", "x.com:12a/a", "[::1/a",
		"[]/a", "x..com/a", "../a", "a/../b", "é"};
	char longer[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		struct oci_reference r;

		if (oci_reference_parse(&r, cases[i], &e) == 0)
			fail_msg("'%s' was taken for %s/%s", cases[i], r.domain, r.path);
		assert_non_null(e.text);
	}
	/* The longest name, and one byte more. */
	for (size_t n = 255 - strlen("docker.io/library/"); n <= 256 - strlen("docker.io/library/");
		n++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_reference_ struct oci_reference r = {0};

		memset(longer, 'a', n);
		longer[n] = '\0';
		assert_int_equal(oci_reference_parse(&r, longer, &e) == 0,
			n == 255 - strlen("docker.io/library/"));
		assert_true(!e.text || strstr(e.text, "longer than 255 bytes"));
	}
	/* The same of a tag. */
	for (size_t n = 128; n <= 129; n++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_reference_ struct oci_reference r = {0};

		memset(longer, 'a', 2 + n);
		longer[1] = ':';
		longer[2 + n] = '\0';
		assert_int_equal(oci_reference_parse(&r, longer, &e) == 0, n == 128);
		assert_true(!e.text || strstr(e.text, "1 to 128 letters"));
	}
}

static int parse_manifest(const char *text, char **why)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_manifest_ struct oci_manifest m = {0};
	int r = oci_manifest_parse(&m, text, strlen(text), "it", &e);

	if (why)
		*why = STEAL(e.text);
	return r;
}

#define DESC "{\"mediaType\": \"x/y\", \"digest\": \"" SUM_REF "\", \"size\": 7}"

static void manifest_is_checked(void **state)
{
	static const struct {
		const char *text;
		int result;
	} cases[] = {
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": [" DESC "]}", 0},
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": []}", 0},
		{"{\"schemaVersion\": 1, \"fsLayers\": [], \"history\": []}", -ENOTSUP},
		{"{\"schemaVersion\": 1, \"config\": " DESC ", \"layers\": []}", 0},
		{"{\"config\": " DESC ", \"layers\": []}", 0},
		{"{\"schemaVersion\": null, \"mediaType\": null, \"config\": " DESC
		 ", \"layers\": null, \"manifests\": null, \"annotations\": null, "
		 "\"artifactType\": null, \"subject\": null}",
			0},
		{"{\"schemaVersion\": 2, \"config\": " DESC
		 ", \"layers\": [], \"subject\": {\"digest\": \"x\"}}",
			0},
		{"{\"schemaVersion\": 3, \"config\": " DESC ", \"layers\": []}", 0},
		{"{\"schemaVersion\": \"2\", \"config\": " DESC ", \"layers\": []}", -EBADMSG},
		{"{\"schemaVersion\": 2, \"layers\": []}", -EBADMSG},
		{"{\"schemaVersion\": 2, \"config\": " DESC "}", 0},
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": {}}", -EBADMSG},
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": [7]}", -EBADMSG},
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": [], \"manifests\": []}",
			-EBADMSG},
		{"{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": [" DESC
		 "], \"manifests\": [" DESC "]}",
			-EBADMSG},
		{"{\"schemaVersion\": 2, \"mediaType\": \"text/plain\", \"config\": " DESC
		 ", \"layers\": []}",
			0},
		{"{\"schemaVersion\": 2, \"mediaType\": \"" OCI_TYPE_INDEX "\", \"config\": " DESC
		 ", \"layers\": []}",
			-ENOTSUP},
		{"{\"schemaVersion\": 2, \"config\": {\"digest\": \"" SUM_REF
		 "\", \"size\": -1}, \"layers\": []}",
			-EBADMSG},
		{"{\"schemaVersion\": 2, \"config\": {\"digest\": \"sha256:../../etc\", \"size\": 1}, "
		 "\"layers\": []}",
			-EBADMSG},
		{"[]", -EBADMSG},
		{"{", -EBADMSG},
		{"", -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *why = NULL;
		int r = parse_manifest(cases[i].text, &why);

		if (r != cases[i].result)
			fail_msg("%s: %d, %s", cases[i].text, r, why);
		assert_int_equal(why != NULL, r < 0);
	}
}

static void ten_thousand_layers_are_refused(void **state)
{
	_cleanup_free_ char *text = NULL, *why = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fputs("{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": [" DESC, f);
	for (int i = 1; i < 10000; i++)
		fputs(", " DESC, f);
	fputs("]}", f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(parse_manifest(text, &why), -E2BIG);
	assert_non_null(strstr(why, "10000 layers"));
}

/* A document with n entries between two texts. Owned by the caller. */
static char *repeat(const char *begin, const char *entry, size_t n, const char *end, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	fputs(begin, f);
	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? ", " : "", entry);
	fputs(end, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static int parse_index(const char *data, size_t size, const char *what, struct arrow_error *e)
{
	_cleanup_index_ struct oci_index index = {0};

	return oci_index_parse(&index, data, size, what, e);
}

static int parse_any_manifest(
	const char *data, size_t size, const char *what, struct arrow_error *e)
{
	_cleanup_manifest_ struct oci_manifest m = {0};

	return oci_manifest_parse(&m, data, size, what, e);
}

static int parse_config(const char *data, size_t size, const char *what, struct arrow_error *e)
{
	_cleanup_config_ struct oci_config c = {0};

	return oci_config_parse(&c, data, size, what, e);
}

/* The longest document of each kind is read, and of one more the error names the limit. */
static void documents_reach_their_limits(void **state)
{
#define MANIFEST "{\"schemaVersion\": 2, \"config\": " DESC ", \"layers\": ["
	static const struct {
		int (*parse)(
			const char *data, size_t size, const char *what, struct arrow_error *e);
		const char *begin, *entry, *end;
		size_t most;
		int refused;
		const char *words;
	} lists[] = {
		{parse_any_manifest, MANIFEST, DESC, "]}", 512, -E2BIG,
			"513 layers, more than the 512 allowed"},
		{parse_index, "{\"manifests\": [", DESC, "]}", 1024, -E2BIG,
			"1025 manifests, more than the 1024 allowed"},
		{parse_config, "{\"rootfs\": {\"diff_ids\": [", "\"" SUM_REF "\"", "]}}", 512,
			-E2BIG, "513 layers, more than the 512 allowed"},
		{parse_config, "{\"config\": {\"Env\": [", "\"A=1\"", "]}}", 4096, -EBADMSG,
			"4096 entries or less"},
	};
	static const struct {
		int (*parse)(
			const char *data, size_t size, const char *what, struct arrow_error *e);
		const char *begin, *end;
		size_t most;
		const char *words;
	} sizes[] = {
		{parse_any_manifest, MANIFEST, "]}", 4u << 20,
			"4194305 bytes, more than the 4194304"},
		{parse_index, "{\"manifests\": [", "]}", 4u << 20,
			"4194305 bytes, more than the 4194304"},
		{parse_config, "{\"config\": {", "}}", 8u << 20,
			"8388609 bytes, more than the 8388608"},
	};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	for (size_t i = 0; i < 2 * sizeof(lists) / sizeof(*lists); i++) {
		size_t size, n = lists[i / 2].most + i % 2;
		_cleanup_free_ char *text =
			repeat(lists[i / 2].begin, lists[i / 2].entry, n, lists[i / 2].end, &size);
		int r = lists[i / 2].parse(text, size, "it", &e);

		if (r != (i % 2 ? lists[i / 2].refused : 0) ||
			(r < 0 && !strstr(e.text, lists[i / 2].words)))
			fail_msg("%s with %zu: %d, %s", lists[i / 2].begin, n, r, e.text);
		arrow_error_clear(&e);
	}
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		size_t size, n = sizes[i / 2].most + i % 2;
		_cleanup_free_ char *text =
			repeat(sizes[i / 2].begin, " ", 0, sizes[i / 2].end, &size);
		_cleanup_free_ char *padded = malloc(n);
		int r;

		memset(padded, ' ', n);
		memcpy(padded, text, size);
		r = sizes[i / 2].parse(padded, n, "it", &e);
		if (r != (i % 2 ? -E2BIG : 0) || (r < 0 && !strstr(e.text, sizes[i / 2].words)))
			fail_msg("%s of %zu bytes: %d, %s", sizes[i / 2].begin, n, r, e.text);
		arrow_error_clear(&e);
	}
#undef MANIFEST
}

static void config_is_read(void **state)
{
	static const char text[] =
		"{\"os\": \"linux\", \"architecture\": \"amd64\", \"config\": {\"Env\": [\"A=1\"], "
		"\"Entrypoint\": [\"/a\"], \"Cmd\": null, \"User\": \"\", \"WorkingDir\": \"/w\", "
		"\"Volumes\": {\"/v\": {}}, \"ExposedPorts\": {\"80/tcp\": {}}, \"Labels\": {\"k\": \"v=w\"}, \"StopSignal\": \"SIGINT\", \"Healthcheck\": {\"Test\": [\"CMD\", "
		"\"/h\"], \"Interval\": 5000000000}}, \"rootfs\": {\"type\": \"layers\", "
		"\"diff_ids\": [\"" SUM_REF "\"]}}";
	static const char *const bad[] = {"{\"config\": {\"Env\": {}}}",
		"{\"config\": {\"Cmd\": [1]}}", "{\"config\": {\"Cmd\": [\"a\\u0000b\"]}}",
		"{\"config\": {\"User\": 7}}", "{\"config\": {\"Labels\": {\"a\": 1}}}",
		"{\"rootfs\": {\"diff_ids\": [\"x\"]}}",
		"{\"config\": {\"Healthcheck\": {\"Interval\": 1.5}}}",
		"{\"config\": {\"Entrypoint\": \"a\\u0000b\"}}", "{\"config\": {\"Env\": \"A=1\"}}",
		"{\"config\": {\"Volumes\": {\"/v\": 7}}}",
		"{\"config\": {\"ExposedPorts\": {\"80\": []}}}",
		"{\"config\": {\"Healthcheck\": {\"Test\": \"/h\"}}}", "7"};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_config_ struct oci_config c = {0};

	if (oci_config_parse(&c, text, strlen(text), "it", &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(c.env[0], "A=1");
	assert_string_equal(c.entrypoint[0], "/a");
	assert_null(c.cmd);
	assert_null(c.user);
	assert_string_equal(c.workdir, "/w");
	assert_string_equal(c.volumes[0], "/v");
	assert_string_equal(c.ports[0], "80/tcp");
	assert_string_equal(c.labels[0], "k=v=w");
	assert_string_equal(c.stop_signal, "SIGINT");
	assert_string_equal(c.health.test[1], "/h");
	assert_int_equal(c.health.interval, 5000000000);
	assert_int_equal(c.n_diff_ids, 1);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct oci_config other;

		if (oci_config_parse(&other, bad[i], strlen(bad[i]), "it", &e) == 0)
			fail_msg("%s was taken", bad[i]);
		arrow_error_clear(&e);
	}
}

static void expect_strings(char *const *list, const char *const *expected)
{
	size_t i = 0;

	if (!list) {
		assert_null(expected[0]);
		return;
	}
	for (; list[i] && expected[i]; i++)
		assert_string_equal(list[i], expected[i]);
	assert_null(list[i]);
	assert_null(expected[i]);
}

/* As docker and podman take them: docs/images.md, "Odd values". */
static void odd_configs_are_taken(void **state)
{
	static const char text[] =
		"{\"os\": null, \"architecture\": null, \"created\": null, \"author\": null, "
		"\"history\": null, \"config\": {\"Env\": [\"A=1\", \"HOME\", \"=x\", \"\", null, "
		"\"B=\"], \"Entrypoint\": [\"\"], \"Cmd\": [\"a\", null], \"User\": null, "
		"\"WorkingDir\": \"srv/x\", \"Volumes\": {\"data\": null, \"\": {}, \"/v\": {}}, "
		"\"ExposedPorts\": {\"443/TCP\": {}, \"53/Udp\": {}, \"80-82\": {}, \"http\": {}, "
		"\"9/sctp\": {}, \"99999/tcp\": {}, \"0\": {}, \"80-99999\": {}, \"80-\": {}}, \"Labels\": {\"k\": null}, \"StopSignal\": null, "
		"\"Healthcheck\": {\"Test\": [\"CMD\", \"/h\"], \"Interval\": -1, \"Timeout\": null, "
		"\"StartPeriod\": -5, \"Retries\": -3}}, \"rootfs\": {\"type\": \"odd\", "
		"\"diff_ids\": [\"" SUM_REF "\"]}}";
	static const char *const all_null =
		"{\"config\": {\"Env\": null, \"Entrypoint\": null, \"Volumes\": null, "
		"\"ExposedPorts\": null, \"Labels\": null, \"Healthcheck\": null, "
		"\"WorkingDir\": null}, \"rootfs\": null}";
	static const char *const no_check =
		"{\"config\": {\"Healthcheck\": {\"Test\": [\"curl\", \"x\"]}}}";
	/* Keys in other letters, but not instead of one that is as it should be; a lone command. */
	static const char *const letters =
		"{\"CONFIG\": {\"cmd\": \"run\", \"user\": \"no\", \"User\": \"web\", \"USER\": \"no\", "
		"\"healthCheck\": {\"test\": [\"CMD\", \"/h\"]}}, \"rootFS\": {\"Diff_IDs\": [\"" SUM_REF
		"\"]}}";
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_config_ struct oci_config c = {0}, other = {0}, third = {0}, fourth = {0};

	if (oci_config_parse(&c, text, strlen(text), "it", &e) < 0)
		fail_msg("%s", e.text);
	expect_strings(c.env, (const char *const[]){"A=1", "B=", NULL});
	assert_null(c.entrypoint);
	expect_strings(c.cmd, (const char *const[]){"a", "", NULL});
	assert_null(c.user);
	assert_string_equal(c.workdir, "/srv/x");
	expect_strings(c.volumes, (const char *const[]){"/data", "/v", NULL});
	expect_strings(c.ports, (const char *const[]){"443/tcp", "53/udp", "80-82", NULL});
	expect_strings(c.labels, (const char *const[]){"k=", NULL});
	assert_null(c.stop_signal);
	assert_int_equal(c.health.interval, 0);
	assert_int_equal(c.health.timeout, 0);
	assert_int_equal(c.health.start_period, 0);
	assert_int_equal(c.health.retries, 0);
	assert_non_null(c.health.test);
	assert_int_equal(c.n_diff_ids, 1);

	if (oci_config_parse(&other, all_null, strlen(all_null), "it", &e) < 0)
		fail_msg("%s", e.text);
	assert_null(other.env);
	assert_int_equal(other.n_diff_ids, 0);
	if (oci_config_parse(&third, no_check, strlen(no_check), "it", &e) < 0)
		fail_msg("%s", e.text);
	assert_null(third.health.test);
	if (oci_config_parse(&fourth, letters, strlen(letters), "it", &e) < 0)
		fail_msg("%s", e.text);
	expect_strings(fourth.cmd, (const char *const[]){"run", NULL});
	assert_string_equal(fourth.user, "web");
	assert_string_equal(fourth.health.test[1], "/h");
	assert_int_equal(fourth.n_diff_ids, 1);
}

static uint64_t choose(const char *text, const char *architecture)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_index_ struct oci_index index = {0};
	const struct oci_index_entry *entry;

	if (oci_index_parse(&index, text, strlen(text), "it", &e) < 0)
		fail_msg("%s", e.text);
	entry = oci_index_choose(&index, architecture, NULL);
	return entry ? entry->descriptor.size : 0;
}

static void odd_platforms_are_taken(void **state)
{
#define ENTRY(size, more) "{\"digest\": \"" SUM_REF "\", \"size\": " #size more "}"
#define INDEX(entries) "{\"manifests\": [" entries "]}"
	/* Nothing said: the first, but never a signature or an attestation, nor before one that
	 * fits. */
	assert_int_equal(choose(INDEX(ENTRY(1, ", \"artifactType\": \"x/y\"") "," ENTRY(
					2, "") "," ENTRY(3, "")),
				 "amd64"),
		2);
	assert_int_equal(
		choose(INDEX(ENTRY(1, ", \"platform\": null") "," ENTRY(2,
			       ", \"platform\": {\"os\": \"linux\", \"architecture\": \"amd64\"}")),
			"amd64"),
		2);
	assert_int_equal(choose(INDEX(ENTRY(1, ", \"platform\": {}")), "arm64"), 1);
	assert_int_equal(
		choose(INDEX(ENTRY(1,
			       ", \"platform\": {\"os\": \"unknown\", \"architecture\": \"unknown\"}")),
			"amd64"),
		0);
	/* Other names and cases, and no operating system. */
	assert_int_equal(
		choose(INDEX(ENTRY(1,
			       ", \"platform\": {\"os\": \"Linux\", \"architecture\": \"X86_64\", \"variant\": \"\"}")),
			"amd64"),
		1);
	assert_int_equal(
		choose(INDEX(ENTRY(1, ", \"platform\": {\"architecture\": \"aarch64\"}")), "arm64"),
		1);
	/* An entry that cannot be read does not keep others from being chosen. */
	assert_int_equal(choose(INDEX("{\"digest\": \"sha512:12\", \"size\": 9}, 7," ENTRY(
					4, ", \"platform\": {\"architecture\": \"amd64\"}")),
				 "amd64"),
		4);
#undef INDEX
#undef ENTRY
}

static void platform_is_chosen(void **state)
{
	static const char text[] =
		"{\"schemaVersion\": 2, \"manifests\": ["
		"{\"digest\": \"" SUM_REF "\", \"size\": 1, \"platform\": {\"os\": \"unknown\", "
		"\"architecture\": \"unknown\"}},"
		"{\"digest\": \"" SUM_REF "\", \"size\": 2, \"platform\": {\"os\": \"windows\", "
		"\"architecture\": \"amd64\"}},"
		"{\"digest\": \"" SUM_REF "\", \"size\": 3, \"platform\": {\"os\": \"linux\", "
		"\"architecture\": \"arm\", \"variant\": \"v7\"}},"
		"{\"digest\": \"" SUM_REF "\", \"size\": 4, \"platform\": {\"os\": \"linux\", "
		"\"architecture\": \"arm\", \"variant\": \"v6\"}},"
		"{\"digest\": \"" SUM_REF "\", \"size\": 5, \"platform\": {\"os\": \"linux\", "
		"\"architecture\": \"amd64\"}}]}";
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_index_ struct oci_index index = {0};

	assert_int_equal(oci_index_parse(&index, text, strlen(text), "it", &e), 0);
	assert_int_equal(oci_index_choose(&index, "amd64", NULL)->descriptor.size, 5);
	assert_int_equal(oci_index_choose(&index, "arm", "v7")->descriptor.size, 3);
	assert_int_equal(oci_index_choose(&index, "arm", "v6")->descriptor.size, 4);
	assert_int_equal(oci_index_choose(&index, "arm", "v8")->descriptor.size, 3);
	assert_null(oci_index_choose(&index, "arm", "v5"));
	assert_null(oci_index_choose(&index, "riscv64", NULL));
}

static void open_store(struct oci_store *store)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;

	if (oci_store_open(store, "store", &e) < 0)
		fail_msg("%s", e.text);
}

static void blobs_are_whole_or_absent(void **state)
{
	_cleanup_oci_store_ struct oci_store s = {.fd = -1};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct oci_descriptor d = {.size = 5};
	char digest[OCI_DIGEST_SIZE] = "sha256:";
	_cleanup_free_ char *data = NULL;
	struct oci_writer w;
	uint64_t size;

	open_store(&s);
	assert_int_equal(digest_data("hello", 5, digest + 7), 0);
	memcpy(d.digest, digest, sizeof(d.digest));

	/* Left after two bytes, gone on with by the next. */
	assert_int_equal(oci_blob_begin(&w, &s, digest, 5, &e), 0);
	assert_int_equal(oci_blob_append(&w, "he", 2, &e), 0);
	oci_blob_end(&w);
	assert_false(oci_blob_exists(&s, digest, NULL));
	assert_int_equal(oci_blob_begin(&w, &s, digest, 5, &e), 0);
	assert_int_equal(w.at, 2);
	assert_int_equal(oci_blob_append(&w, "llo", 3, &e), 0);
	assert_int_equal(oci_blob_commit(&w, &e), 0);
	oci_blob_end(&w);
	assert_true(oci_blob_exists(&s, digest, &size));
	assert_int_equal(size, 5);
	assert_int_equal(oci_blob_read(&s, &d, 5, &data, &e), 0);
	assert_string_equal(data, "hello");
	assert_int_equal(oci_blob_read(&s, &d, 4, &data, &e), -EFBIG);
	arrow_error_clear(&e);

	/* Too short, too long, another content: nothing is stored, and nothing is kept of it. */
	assert_int_equal(oci_blob_begin(&w, &s, SUM_REF, 5, &e), 0);
	assert_int_equal(oci_blob_append(&w, "hell", 4, &e), 0);
	assert_int_equal(oci_blob_commit(&w, &e), -EBADMSG);
	arrow_error_clear(&e);
	assert_int_equal(oci_blob_append(&w, "oo", 2, &e), -EFBIG);
	arrow_error_clear(&e);
	oci_blob_end(&w);
	assert_int_equal(oci_blob_begin(&w, &s, SUM_REF, 5, &e), 0);
	assert_int_equal(w.at, 0);
	assert_int_equal(oci_blob_append(&w, "hello", 5, &e), 0);
	assert_int_equal(oci_blob_commit(&w, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "wrong digest"));
	arrow_error_clear(&e);
	oci_blob_end(&w);
	assert_false(oci_blob_exists(&s, SUM_REF, NULL));

	/* One that was changed on the disk. */
	shell("chmod u+w store/oci/blobs/sha256/*; printf HELLO >$(ls store/oci/blobs/sha256/*)");
	free(STEAL(data));
	assert_int_equal(oci_blob_read(&s, &d, 5, &data, &e), -EBADMSG);
	arrow_error_clear(&e);
	shell("test -z \"$(ls store/oci/ingest)\"");
}

static void two_write_one_blob(void **state)
{
	_cleanup_oci_store_ struct oci_store s = {.fd = -1};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	char digest[OCI_DIGEST_SIZE] = "sha256:";
	struct oci_writer a, b;

	open_store(&s);
	assert_int_equal(digest_data("hello", 5, digest + 7), 0);
	assert_int_equal(oci_blob_begin(&a, &s, digest, 5, &e), 0);
	assert_int_equal(oci_blob_append(&a, "hel", 3, &e), 0);
	assert_int_equal(oci_blob_begin(&b, &s, digest, 5, &e), 0);
	assert_int_equal(b.at, 0);
	assert_int_equal(oci_blob_append(&b, "hello", 5, &e), 0);
	assert_int_equal(oci_blob_commit(&b, &e), 0);
	oci_blob_end(&b);
	assert_int_equal(oci_blob_append(&a, "lo", 2, &e), 0);
	assert_int_equal(oci_blob_commit(&a, &e), 0);
	oci_blob_end(&a);
	shell("test -z \"$(ls store/oci/ingest)\"; test $(ls store/oci/blobs/sha256 | wc -l) = 1");
}

static void tag(const struct oci_store *s, const char *name, const struct oci_descriptor *d)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_reference_ struct oci_reference r = {0};

	assert_int_equal(oci_reference_parse(&r, name, &e), 0);
	if (oci_store_tag(s, &r, d, NULL, &e) < 0)
		fail_msg("%s", e.text);
}

static void names_move(void **state)
{
	_cleanup_oci_store_ struct oci_store s = {.fd = -1};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_descriptor_ struct oci_descriptor one = {0}, two = {0};
	_cleanup_reference_ struct oci_reference r = {0};
	char *known[] = {(char *)"docker.io/library/b:latest", NULL};
	struct oci_entries list;
	bool left;

	open_store(&s);
	assert_int_equal(oci_blob_put(&s, OCI_TYPE_MANIFEST, "1", 1, NULL, &one, &e), 0);
	assert_int_equal(oci_blob_put(&s, OCI_TYPE_MANIFEST, "2", 1, NULL, &two, &e), 0);
	tag(&s, "a", &one);
	tag(&s, "a", &one);
	tag(&s, "b", &one);
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 2);
	oci_entries_release(&list);

	/* The name moves; its image still has another. Then that moves, too. */
	tag(&s, "a", &two);
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 2);
	oci_entries_release(&list);
	tag(&s, "b", &two);
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 3);
	assert_null(list.v[0].name);
	assert_string_equal(list.v[0].descriptor.digest, one.digest);
	oci_entries_release(&list);

	assert_int_equal(oci_store_untag(&s, "docker.io/library/a:latest", false, &e), 0);
	assert_int_equal(oci_store_untag(&s, "docker.io/library/a:latest", false, &e), -ENOENT);
	assert_null(e.text);
	assert_int_equal(oci_store_forget(&s, one.digest, NULL, &left, &e), 0);
	assert_false(left);
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].name, "docker.io/library/b:latest");
	oci_entries_release(&list);

	/* A name that was given after the caller looked stays. */
	tag(&s, "c", &two);
	assert_int_equal(oci_store_forget(&s, two.digest, known, &left, &e), 0);
	assert_true(left);
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 1);
	assert_string_equal(list.v[0].name, "docker.io/library/c:latest");
	oci_entries_release(&list);

	/* Nothing is named that is not there. */
	memcpy(one.digest, SUM_REF, sizeof(one.digest));
	assert_int_equal(oci_reference_parse(&r, "c", &e), 0);
	assert_int_equal(oci_store_tag(&s, &r, &one, NULL, &e), -ENOENT);
}

/* Eight processes name at once; no name is lost, and index.json is whole all the time. */
/* NAME:TAG@DIGEST names an image by its digest, and makes no tag: that would not resolve. */
static void tag_with_digest_is_no_tag(void **state)
{
	static const char config[] = "{\"rootfs\": {\"diff_ids\": []}}";
	_cleanup_oci_store_ struct oci_store store = {.fd = -1};
	_cleanup_descriptor_ struct oci_descriptor c = {0}, m = {0};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_entries_ struct oci_entries entries = {0};
	_cleanup_free_ char *text = NULL, *name = NULL, *plain = NULL;
	struct oci_image image = {0};

	open_store(&store);
	assert_int_equal(
		oci_blob_put(&store, OCI_TYPE_CONFIG, config, strlen(config), NULL, &c, &e), 0);
	text = path_format("{\"config\": {\"mediaType\": \"" OCI_TYPE_CONFIG
			   "\", \"digest\": \"%s\", \"size\": %zu}}",
		c.digest, strlen(config));
	assert_int_equal(
		oci_blob_put(&store, OCI_TYPE_MANIFEST, text, strlen(text), NULL, &m, &e), 0);
	name = path_format("x:1@%s", m.digest);
	plain = path_format("docker.io/library/x@%s", m.digest);
	tag(&store, name, &m);

	assert_int_equal(oci_store_list(&store, &entries, &e), 0);
	assert_int_equal(entries.n, 1);
	assert_string_equal(entries.v[0].name, plain);
	/* All ways to say it lead there, but for the tag that nobody made. */
	for (int i = 0; i < 2; i++) {
		if (oci_image_find(&image, &store, i ? plain : name, NULL, &e) < 0)
			fail_msg("%s", e.text);
		oci_image_release(&image);
	}
	assert_int_equal(oci_image_find(&image, &store, "x:1", NULL, &e), -ENOENT);
}

static void names_of_many_processes(void **state)
{
	_cleanup_oci_store_ struct oci_store s = {.fd = -1};
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	struct oci_entries list;
	pid_t pids[8];

	open_store(&s);
	for (int i = 0; i < 8; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			_cleanup_oci_store_ struct oci_store mine = {.fd = -1};
			_cleanup_descriptor_ struct oci_descriptor d = {0};

			open_store(&mine);
			if (oci_blob_put(&mine, OCI_TYPE_MANIFEST, "1", 1, NULL, &d, &e) < 0)
				_exit(1);
			for (int k = 0; k < 10; k++) {
				_cleanup_free_ char *name = path_format("p%d:t%d", i, k);

				tag(&mine, name, &d);
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 8; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(oci_store_list(&s, &list, &e), 0);
	assert_int_equal(list.n, 80);
	oci_entries_release(&list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reference_completes),
		cmocka_unit_test(reference_refuses),
		cmocka_unit_test(manifest_is_checked),
		cmocka_unit_test(ten_thousand_layers_are_refused),
		cmocka_unit_test(documents_reach_their_limits),
		cmocka_unit_test(config_is_read),
		cmocka_unit_test(odd_configs_are_taken),
		cmocka_unit_test(odd_platforms_are_taken),
		cmocka_unit_test(platform_is_chosen),
		FIXTURE_TEST(blobs_are_whole_or_absent),
		FIXTURE_TEST(two_write_one_blob),
		FIXTURE_TEST(names_move),
		FIXTURE_TEST(tag_with_digest_is_no_tag),
		FIXTURE_TEST(names_of_many_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
