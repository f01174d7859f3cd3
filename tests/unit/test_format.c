// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output/columns.h"
#include "cli/output/format.h"
#include "cli/output/human.h"
#include "util/cleanup.h"

/* clang-format off */
#define VALUE "{\"Name\": \"web\", \"Pid\": 7, \"State\": {\"Running\": true, \"Error\": \"\"}," \
	"\"Args\": [\"-g\", \"daemon off\"], \"Labels\": {\"a\": \"1\", \"b\": \"2\"}," \
	"\"Ports\": {\"80/tcp\": [{\"HostPort\": \"8080\"}]}, \"None\": null}"
/* clang-format on */

static int expand(const char *template, char **text, struct arrow_error *error)
{
	json_t *value = json_loads(VALUE, 0, NULL);
	size_t size;
	FILE *f = open_memstream(text, &size);
	int r = cli_format_one(f, template, value, error);

	fclose(f);
	json_decref(value);
	return r;
}

static void expands(void **state)
{
	static const struct {
		const char *template, *text;
	} cases[] = {
		{"plain", "plain"},
		{"{{.Name}}={{.Pid}}", "web=7"},
		{"{{ .State.Running }}", "true"},
		{"{{json .Args}} {{.Args | json}}",
			"[\"-g\",\"daemon off\"] [\"-g\",\"daemon off\"]"},
		{"{{.Args}} {{.Labels}}", "[-g daemon off] map[a:1 b:2]"},
		{"{{join .Args \",\"}}", "-g,daemon off"},
		{"{{index .Labels \"a\"}}{{index .Labels \"x\"}}", "1"},
		{"{{index .Args 1}}", "daemon off"},
		{"{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"},
		{"{{range .Args}}<{{.}}>{{end}}", "<-g><daemon off>"},
		{"{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"},
		{"{{range $i, $v := .Args}}{{$i}}{{$.Name}} {{end}}", "0web 1web "},
		{"{{range $p, $c := .Ports}}{{$p}}->{{(index $c 0).HostPort}}{{end}}",
			"80/tcp->8080"},
		{"{{range .None}}x{{else}}none{{end}}", "none"},
		{"{{if .State.Running}}up{{else}}down{{end}}", "up"},
		{"{{if .State.Error}}bad{{else if eq .Pid 7}}seven{{else}}x{{end}}", "seven"},
		{"{{if not .None}}a{{end}}{{if and .Pid .Name}}b{{end}}{{or .None .Name}}",
			"abweb"},
		{"{{with .State}}{{.Running}}{{end}}{{with .None}}x{{end}}", "true"},
		{"a {{- .Name -}} b", "awebb"},
		{"{{/* nothing */}}{{upper .Name}}{{title .Name}}{{lower \"ABC\"}}", "WEBWebabc"},
		{"{{len .Args}} {{len .Name}} {{len .Labels}} {{len .None}}", "2 3 2 0"},
		{"{{println .Pid .Name}}", "7 web\n"},
		{"{{printf \"%-5s|%3d|%q\" .Name .Pid .Name}}", "web  |  7|\"web\""},
		{"{{truncate .Name 2}} {{`raw\\n`}} {{\"tab\\t\"}}", "we raw\\n tab\t"},
		{"{{split \"a,b\" \",\"}}", "[a b]"},
		{"{{ge .Pid 7}}{{lt .Pid 7}}{{ne .Name \"web\"}}", "truefalsefalse"},
		{"{{.None}} {{nil}} {{true}} {{-5}}", "<nil> <nil> true -5"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_free_ char *text = NULL;

		if (expand(cases[i].template, &text, &e) < 0)
			fail_msg("%s: %s", cases[i].template, e.text);
		assert_string_equal(text, cases[i].text);
	}
}

static void refuses(void **state)
{
	static const char *const cases[] = {"{{", "{{.Name", "{{.Nam}}", "{{.Name.X}}", "{{end}}",
		"{{if .Name}}x", "{{else}}", "{{range .Name}}{{end}}", "{{nosuch .Name}}",
		"{{index .Args 9}}", "{{index .Args -1}}", "{{join .Name}}", "{{\"open}}",
		"{{if .Name}}{{else}}{{else}}{{end}}", "{{$x}}", "{{.Name .Pid}}",
		"{{.Name | .Pid}}", "{{(.Name}}", "{{if .None}}{{nosuch}{{end}}",
		"{{printf \"%s\"}}", "{{printf \"%9999d\" .Pid}}", "{{range $a, := .Args}}{{end}}",
		"{{)}}", "{{|}}"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
		_cleanup_free_ char *text = NULL;

		if (expand(cases[i], &text, &e) != -EINVAL && e.text == NULL)
			fail_msg("%s was taken", cases[i]);
		assert_non_null(strstr(e.text, "--format: "));
	}
}

static void deep(void **state)
{
	_cleanup_error_ struct arrow_error e = ARROW_ERROR_INIT;
	_cleanup_free_ char *text = NULL;
	char template[20000];

	memset(template, '(', sizeof(template));
	memcpy(template, "{{", 2);
	template[sizeof(template) - 1] = '\0';
	assert_int_equal(expand(template, &text, &e), -EINVAL);
}

static void aligns(void **state)
{
	static const struct {
		const char *text, *aligned;
		size_t min;
	} cases[] = {
		{"", "", 0},
		{"A\tB\n", "A   B\n", 0},
		{"A\tB\n", "A         B\n", 10},
		{"NAME\tX\tLAST\nlonger\t\tend of it\n",
			"NAME     X   LAST\nlonger       end of it\n", 0},
		/* As wide as it is seen, not as its bytes. */
		{"é…\tx\nab\ty\n", "é…   x\nab   y\n", 0},
		/* Lines of other numbers of cells; one without an end. */
		{"a\nb\tc\td\te\n\nlong\tf", "a\nb      c   d   e\n\nlong   f\n", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		assert_int_equal(cli_print_columns(f, cases[i].text, cases[i].min), 0);
		fclose(f);
		assert_string_equal(text, cases[i].aligned);
	}
}

static void tells_sizes(void **state)
{
	static const struct {
		unsigned long long bytes;
		const char *decimal, *binary;
	} cases[] = {
		{0, "0B", "0 B"},
		{999, "999B", "999 B"},
		{1024, "1.02kB", "1.0 KiB"},
		{5476083302, "5.48GB", "5.1 GiB"},
		{UINT64_MAX, "18.4EB", "16384.0 PiB"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		_cleanup_free_ char *decimal = human_size(cases[i].bytes);
		_cleanup_free_ char *binary = human_binary_size(cases[i].bytes);

		assert_string_equal(decimal, cases[i].decimal);
		assert_string_equal(binary, cases[i].binary);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(expands),
		cmocka_unit_test(refuses),
		cmocka_unit_test(deep),
		cmocka_unit_test(aligns),
		cmocka_unit_test(tells_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
