# A thin front for meson. `make help` lists what it can do.
BUILD ?= build

.PHONY: all help run check test stress hypervisor bench install asan lint format clean
all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) --quiet

$(BUILD)/build.ninja:
	@meson setup $(BUILD) $(addprefix --prefix=,$(PREFIX)) >$(BUILD).log 2>&1 || { cat $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

help:
	@echo 'make            build Arrow; commands land in $(BUILD)/'
	@echo 'sudo make run   install the packages, build Arrow and its kernels, run the hello Arrow'
	@echo 'sudo make check install the packages, build, run a few tests of each part, in minutes'
	@echo 'sudo make test  install the packages, build, run all tests'
	@echo 'sudo make stress what make test has in small: 10000 Arrows, 1000 steps with what is killed, a minute of fuzzing'
	@echo 'make hypervisor build a QEMU for Arrow, smaller and faster than Debian'\''s'
	@echo 'make bench      measure, and write docs/benchmarks.md'
	@echo 'make install    install to PREFIX (/usr/local), honours DESTDIR'
	@echo 'make asan       run the unit tests with ASan and UBSan, in $(BUILD)-asan/'
	@echo 'make lint       clang-format, clang-tidy and shellcheck'
	@echo 'make format     apply clang-format'
	@echo 'make clean      remove the build folders'

run:
	@tools/run $(BUILD)

check:
	@tests/run $(BUILD) unit smoke

test:
	@tests/run $(BUILD)

# Templates and zygotes of its own, and the kernels of this machine. Then what `make test` has in small.
stress: all
	@data=$$(mktemp -d) && ln -s /var/lib/arrow/kernels /var/lib/arrow/hypervisor $$data/ && \
	ARROW=$(abspath $(BUILD))/arrow ARROW_DATA_DIR=$$data ARROW_RUN_DIR=$$data/run tests/stress/zygote $(or $(COUNT),10000); \
	status=$$?; rm -rf $$data; exit $$status
	@ARROW=$(abspath $(BUILD))/arrow ARROW_TEST_ARROWS=200 ARROW_TEST_BLOCKS=64 ARROW_CRASH_STEPS=1000 \
	bats -f 'come and go|each way|crash' tests/integration/netapps.bats tests/integration/stream.bats tests/integration/crash.bats
	@ARROW=$(abspath $(BUILD))/arrow ARROW_QEMU=/usr/bin/qemu-system-x86_64 \
	bats -f 'share no random' tests/integration/template.bats
	@tools/packages fuzz && tests/fuzz/run 60

hypervisor:
	@tools/hypervisor

bench: all
	@tools/packages run bench || echo "make bench: peers that are missing are not measured"
	@tests/bench/run $(BUILD)

# A build folder remembers its prefix; only another one asks meson again.
install: all
ifdef PREFIX
	@meson configure $(BUILD) -Dprefix=$(PREFIX) && ninja -C $(BUILD) --quiet
endif
	@ninja -C $(BUILD) --quiet manuals
	@meson install -C $(BUILD) --no-rebuild --quiet

asan:
	@tools/asan $(BUILD)-asan

lint: all
	@tools/lint $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format -i

clean:
	@rm -rf $(BUILD) $(BUILD)-asan
