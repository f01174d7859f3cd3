// SPDX-License-Identifier: Apache-2.0
/* What registries and credential files say, taken apart. */
#include "tests/unit/fixture.h"

#include <sys/file.h>
#include <sys/wait.h>

#include "registry/challenge.h"
#include "registry/credentials.h"
#include "registry/http.h"

static void read_challenge(struct challenge *c, const char *text)
{
	*c = (struct challenge){0};
	assert_int_equal(challenge_add(c, text, strlen(text)), 0);
}

static void test_bearer(void **state)
{
	_cleanup_challenge_ struct challenge c;

	read_challenge(&c, "Bearer realm=\"https://auth.example/token\",service=\"reg\","
			   "scope=\"repository:a/b:pull,push\",error=\"invalid_token\"");
	assert_true(c.bearer);
	assert_false(c.basic);
	assert_string_equal(c.realm, "https://auth.example/token");
	assert_string_equal(c.service, "reg");
	assert_string_equal(c.scope, "repository:a/b:pull,push");
	assert_string_equal(c.error, "invalid_token");
}

static void test_several_in_one_header(void **state)
{
	_cleanup_challenge_ struct challenge c;

	read_challenge(&c,
		"Negotiate, NTLM abc==, basic realm=\"x, Bearer realm=y\" , BEARER service = q , realm=\"https://a\\\"b\"");
	assert_true(c.basic);
	assert_true(c.bearer);
	assert_string_equal(c.realm, "https://a\"b");
	assert_string_equal(c.service, "q");
	assert_null(c.scope);
}

static void test_first_bearer_counts(void **state)
{
	_cleanup_challenge_ struct challenge c;
	const char *second = "Bearer realm=\"https://two\"";

	read_challenge(&c, "Bearer realm=\"https://one\"");
	assert_int_equal(challenge_add(&c, second, strlen(second)), 0);
	assert_string_equal(c.realm, "https://one");
}

static void test_what_is_no_challenge(void **state)
{
	static const char *const texts[] = {"", ",,,", "Bearer", "Bearer realm",
		"Bearer realm=", "Bearer realm=\"", "Bearer realm=\"cut off", "Bearer realm=\"\"",
		"=\"x\"", "Bearer realm=\"a\001b\"", "\"\"\"\\", "Bearer service=\"x\""};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		_cleanup_challenge_ struct challenge c;

		read_challenge(&c, texts[i]);
		assert_false(c.bearer);
		assert_null(c.realm);
	}
}

static int parse(struct credentials *c, const char *text, const char *host, const char *repository,
	char **helper)
{
	return credentials_parse(c, text, strlen(text), host, repository, helper);
}

static void test_auth_file(void **state)
{
	const char *file = "{\"auths\": {\"r.example:5000\": {\"auth\": \"dXNlcjpwYTpzcw==\"},"
			   "\"https://old.example/v1/\": {\"auth\": \"YTpi\"},"
			   "\"r.example:5000/team\": {\"auth\": \"dGVhbTp4\"},"
			   "\"wrapped.example\": {\"auth\": \"dXNl\\r\\ncjpwYTpzcw==\\n\"},"
			   "\"zeros.example\": {\"auth\": \"dTpwAAA=\", \"identitytoken\": null},"
			   "\"fields.example\": {\"auth\": null, \"username\": \"f\", "
			   "\"password\": \"g\"}, \"null.example\": null,"
			   "\"https://index.docker.io/v1/\": {\"auth\": \"aHViOmg=\","
			   "\"identitytoken\": \"tok\"}}, \"credHelpers\": null, "
			   "\"credsStore\": \"\"}";
	static const struct {
		const char *host, *repository, *user, *password;
	} cases[] = {{"r.example:5000", NULL, "user", "pa:ss"},
		{"r.example:5000", "other/x", "user", "pa:ss"},
		{"r.example:5000", "team/x", "team", "x"}, {"old.example", "x", "a", "b"},
		{"docker.io", "library/x", "hub", "h"}, {"wrapped.example", NULL, "user", "pa:ss"},
		{"zeros.example", NULL, "u", "p"}, {"fields.example", NULL, "f", "g"},
		{"null.example", NULL, NULL, NULL}, {"r.example", "x", NULL, NULL},
		{"example", NULL, NULL, NULL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_credentials_ struct credentials c = {0};
		char *helper;
		int r = parse(&c, file, cases[i].host, cases[i].repository, &helper);

		assert_null(helper);
		assert_int_equal(r, cases[i].user != NULL);
		if (r == 0)
			continue;
		assert_string_equal(c.username, cases[i].user);
		assert_string_equal(c.password, cases[i].password);
		assert_int_equal(c.token != NULL, strcmp(cases[i].host, "docker.io") == 0);
	}
}

static void test_helpers(void **state)
{
	const char *file = "{\"credsStore\": \"all\", \"credHelpers\": {\"r.example\": \"one\"},"
			   "\"auths\": {\"r.example\": {\"auth\": \"YTpi\"}}}";
	_cleanup_credentials_ struct credentials c = {0};
	char *helper;

	assert_int_equal(parse(&c, file, "r.example", NULL, &helper), 1);
	assert_string_equal(helper, "one");
	free(helper);
	assert_int_equal(parse(&c, file, "other.example", NULL, &helper), 1);
	assert_string_equal(helper, "all");
	free(helper);
	/* A name that would lead to another program. */
	assert_int_equal(parse(&c, "{\"credsStore\": \"../../x\"}", "a", NULL, &helper), 0);
	assert_null(helper);
}

static void test_bad_auth_files(void **state)
{
	static const char *const bad[] = {"", "[]", "{", "nonsense", "{\"auths\": {}"};
	static const char *const empty[] = {"{}", "{\"auths\": []}", "{\"auths\": {\"h\": 1}}",
		"{\"auths\": {\"h\": {}}}", "{\"auths\": {\"h\": {\"auth\": \"%%%%\"}}}",
		"{\"auths\": {\"h\": {\"auth\": \"YWI=\"}}}",     /* ab: no colon */
		"{\"auths\": {\"h\": {\"auth\": \"YTpiCmM=\"}}}", /* a line break in the password */
		"{\"auths\": {\"h\": {\"auth\": \"YTpiAGM=\"}}}", /* a NUL */
		"{\"auths\": {\"h\": {\"auth\": \"YTp\"}}}", "{\"auths\": {\"h\": {\"auth\": 5}}}"};
	char *helper;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		_cleanup_credentials_ struct credentials c = {0};

		assert_int_equal(parse(&c, bad[i], "h", NULL, &helper), -EINVAL);
	}
	for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		_cleanup_credentials_ struct credentials c = {0};

		assert_int_equal(parse(&c, empty[i], "h", "r", &helper), 0);
		assert_null(c.username);
	}
}

static void test_helper_answers(void **state)
{
	_cleanup_credentials_ struct credentials c = {0};
	const char *user = "{\"ServerURL\": \"h\", \"Username\": \"u\", \"Secret\": \"s\"}";
	const char *token = "{\"Username\": \"<token>\", \"Secret\": \"t\"}";

	assert_int_equal(credentials_parse_helper(&c, user, strlen(user)), 1);
	assert_string_equal(c.username, "u");
	assert_string_equal(c.password, "s");
	credentials_release(&c);
	assert_int_equal(credentials_parse_helper(&c, token, strlen(token)), 1);
	assert_string_equal(c.token, "t");
	assert_null(c.username);
	credentials_release(&c);
	assert_int_equal(credentials_parse_helper(&c, "{}", 2), 0);
	assert_int_equal(credentials_parse_helper(&c, "no", 2), -EINVAL);
}

static void test_loopback(void **state)
{
	assert_true(http_is_loopback("localhost"));
	assert_true(http_is_loopback("localhost:5000"));
	assert_true(http_is_loopback("127.1.2.3:80"));
	assert_true(http_is_loopback("[::1]:5000"));
	assert_false(http_is_loopback("127.0.0.1.example.com"));
	assert_false(http_is_loopback("localhost.example.com"));
	assert_false(http_is_loopback("[::1].example"));
	assert_false(http_is_loopback("10.0.0.1"));
}

static void test_url_hosts(void **state)
{
	static const struct {
		const char *url, *host;
	} cases[] = {{"https://a.example/x", "a.example"}, {"https://a.example:443/", "a.example"},
		{"http://a.example:8080?x", "a.example:8080"},
		{"https://user:pass@b.example:1/", "b.example:1"}, {"ftp://a.example/", NULL},
		{"/v2/", NULL}, {"", NULL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *host = http_url_host(cases[i].url);

		if (cases[i].host)
			assert_string_equal(host, cases[i].host);
		else
			assert_null(host);
	}
}

/* Waits until a process waits for a lock of a file. */
static void wait_for_waiter(pid_t pid)
{
	_cleanup_free_ char *mark = path_format("-> FLOCK  ADVISORY  WRITE %d ", (int)pid);
	uint64_t end = now_ms() + 30000;
	bool found = false;

	while (!found && now_ms() < end) {
		_cleanup_free_ char *locks = NULL;

		assert_int_equal(read_file(AT_FDCWD, "/proc/locks", 1u << 20, &locks, NULL), 0);
		found = strstr(locks, mark);
		usleep(1000);
	}
	assert_true(found);
}

/* A login and a logout change the file while another login holds it: all of them count. */
static void changes_at_once_are_all_kept(void **state)
{
	const char *const one = "{\"auths\": {\"a.example\": {\"auth\": \"YTpi\"}}}";
	const char *const two = "{\"auths\": {\"a.example\": {\"auth\": \"YTpi\"},"
				"\"b.example\": {\"auth\": \"YTpi\"}}}";

	const struct registry_settings settings = {.auth_file = "auth.json"};

	for (int logout = 0; logout < 2; logout++) {
		_cleanup_close_ int held =
			open("auth.json.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		_cleanup_close_ int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		_cleanup_free_ char *text = NULL;
		struct stat st;
		pid_t pid;
		int status;

		write_text("auth.json", one);
		/* What others can lock, such as the directory, keeps nobody waiting. */
		assert_int_equal(flock(dir, LOCK_EX), 0);
		assert_int_equal(flock(held, LOCK_EX), 0);
		pid = fork();
		if (pid == 0) {
			struct credentials c = {.username = (char *)"u", .password = (char *)"p"};
			struct arrow_error e = ARROW_ERROR_INIT;
			char *where;
			unsigned int n;
			bool plain;

			_exit(logout ? credentials_erase(&settings, "a.example", &n, &e) < 0
				     : credentials_store(
					       &c, &settings, "c.example", &where, &plain, &e) < 0);
		}
		wait_for_waiter(pid);
		write_text("auth.json", two);
		assert_int_equal(flock(held, LOCK_UN), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(stat("auth.json.lock", &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		assert_int_equal(read_file(AT_FDCWD, "auth.json", 4096, &text, NULL), 0);
		assert_non_null(strstr(text, "b.example"));
		assert_int_equal(strstr(text, "a.example") == NULL, logout);
		assert_int_equal(strstr(text, "c.example") == NULL, logout);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_several_in_one_header),
		cmocka_unit_test(test_first_bearer_counts),
		cmocka_unit_test(test_what_is_no_challenge),
		cmocka_unit_test(test_auth_file),
		cmocka_unit_test(test_helpers),
		cmocka_unit_test(test_bad_auth_files),
		cmocka_unit_test(test_helper_answers),
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_url_hosts),
		FIXTURE_TEST(changes_at_once_are_all_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
