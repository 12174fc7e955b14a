# Two commands, each enough on a machine with Python 3.10 or newer:
#   make test   lint and all tests
#   make demo   the whole pipeline on a synthetic set
# a third, which starts from films instead of features:
#   make demo-film   films, I3D with random weights, training, segments
# a fourth, the engine for several machines on a small cluster of processes:
#   make test-cluster   2,000 videos on Dask, with a worker that is killed
# one for Python 3.10 or 3.11, the lane of tensorflow-addons:
#   make test-addons   the core tests with TensorFlow 2.15
# and one that takes an hour, see docs/robustness.md:
#   make test-fuzz   damaged inputs of every kind, others in every run

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUN = $(BIN)/python -m
DEMO = --flagfile=configs/demo.flags --overwrite

# The lane of tensorflow-addons. ADDONS_PYTHON chooses its interpreter.
ADDONS_VENV ?= .venv-addons
ADDONS_PYTHON ?= $(firstword $(foreach python,python3.11 python3.10 python3,\
    $(shell $(python) -c "import sys, venv, ensurepip; \
    sys.version_info[:2] in ((3, 10), (3, 11)) and print('$(python)')" \
    2>/dev/null)))
ADDONS_TESTS ?= tests/method $(addsuffix .py, \
    $(addprefix tests/data/test_,batches record) \
    $(addprefix tests/training/test_,callbacks divergence optimizer_step \
        optimizers precision resume) \
    $(addprefix tests/commands/test_,config localize pipeline train) \
    tests/serving/test_export)

ADDONS_SHORT = tests/method/test_layers.py tests/method/test_losses.py \
    tests/training/test_optimizer_step.py \
    tests/training/test_optimizers.py::TestAddons \
    tests/training/test_resume.py::test_optimizers_of_tensorflow_addons_go_on_too

# A seed repeats an earlier run: make test-fuzz FUZZ_SEED=7
FUZZ_SEED := $(or $(FUZZ_SEED),$(shell date +%s))
FUZZ_TESTS ?= tests/fuzz

.PHONY: test test-cluster test-fuzz test-addons test-addons-short lint demo \
    demo-film clean

test: lint
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder \
	    $(PYTEST_FLAGS)

test-cluster: $(VENV)/installed
	TFWSTAL_TEST_CLUSTER=1 $(RUN) pytest -s tests/engine $(PYTEST_FLAGS)

test-addons: $(ADDONS_VENV)/installed
	$(ADDONS_VENV)/bin/python -m pytest -n 2 --dist loadfile \
	    --no-loadscope-reorder $(PYTEST_FLAGS) $(ADDONS_TESTS)

test-addons-short:
	@if test -n "$(ADDONS_PYTHON)"; then \
	    $(MAKE) test-addons ADDONS_TESTS="$(ADDONS_SHORT)"; \
	else echo "$@: left out, there is no Python 3.10 or 3.11"; fi

test-fuzz: $(VENV)/installed
	@echo "test-fuzz: FUZZ_SEED=$(FUZZ_SEED)"
	$(RUN) pytest -n 2 --hypothesis-profile=long \
	    --hypothesis-seed=$(FUZZ_SEED) $(PYTEST_FLAGS) $(FUZZ_TESTS)

lint: $(VENV)/installed
	$(RUN) ruff check .
	$(RUN) ruff format --check .

demo: $(VENV)/installed
	rm -rf demo
	$(RUN) tfrecords_tools.synthesize $(DEMO) --output_dir=demo/raw
	$(RUN) tfrecords_tools.convert $(DEMO) --features_dir=demo/raw \
	    --output_dir=demo/records
	$(RUN) tfwstal.train $(DEMO) --epochs=0 --data_dir=demo/records \
	    --run_dir=demo/untrained
	$(RUN) tfwstal.localize --run_dir=demo/untrained --split=test \
	    --detections=demo/untrained.json
	$(RUN) tfwstal.train $(DEMO) --data_dir=demo/records --run_dir=demo/run
	$(RUN) tfwstal.localize --run_dir=demo/run --split=test \
	    --detections=demo/detections.json
	$(RUN) tfwstal.export --run_dir=demo/run --export_dir=demo/models/tfwstal
	@echo && echo "=== The untrained model ==="
	@$(RUN) tfwstal.evaluate $(DEMO) --ground_truth=demo/raw/gt.json \
	    --detections=demo/untrained.json --report=demo/untrained_report.json
	@echo && echo "=== The trained model ==="
	@$(RUN) tfwstal.evaluate $(DEMO) --ground_truth=demo/raw/gt.json \
	    --detections=demo/detections.json --report=demo/report.json
	@echo
	@echo "The run is in demo/run, its SavedModel in demo/models/tfwstal/1."
	@echo "Next: $(BIN)/tensorboard --logdir=demo/run/logs, or your own"
	@echo "features: see 'The pipeline' in README.md."

FILM = --flagfile=configs/demo_film.flags
WEIGHTS = --rgb_checkpoint=demo-film/rgb.ckpt \
    --flow_checkpoint=demo-film/flow.ckpt

demo-film: $(VENV)/installed
	rm -rf demo-film
	$(RUN) tfrecords_tools.planting.films demo-film
	$(RUN) tfrecords_tools.extract $(FILM) $(WEIGHTS) \
	    --videos=demo-film/films --output_dir=demo-film/features
	$(RUN) tfrecords_tools.convert --features_dir=demo-film/features \
	    --annotations=demo-film/gt.json --output_dir=demo-film/records
	$(RUN) tfwstal.train $(FILM) --data_dir=demo-film/records \
	    --run_dir=demo-film/run
	$(RUN) tfwstal.localize --run_dir=demo-film/run --split=test \
	    --detections=demo-film/detections.json
	$(RUN) tfwstal.evaluate $(FILM) --ground_truth=demo-film/gt.json \
	    --detections=demo-film/detections.json
	$(RUN) tfwstal.localize --run_dir=demo-film/run $(WEIGHTS) \
	    --video=demo-film/films/film_08.mp4
	$(RUN) tfwstal.visualize --ground_truth=demo-film/gt.json \
	    --detections=demo-film/detections.json --run_dir=demo-film/run \
	    --data_dir=demo-film/records --films=demo-film/films \
	    --html=demo-film/report.html
	@echo
	@echo "Open demo-film/report.html in a browser: it plays the segments."
	@echo "I3D had random weights: this shows that the pipeline works, not"
	@echo "how good the segments are with published weights."
	@echo "docs/extraction.md says where those are."

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

$(ADDONS_VENV)/installed: setup.py
	@test -n "$(ADDONS_PYTHON)" || { echo "make test-addons: no Python 3.10 \
	or 3.11 here; install one, or give ADDONS_PYTHON=PATH" >&2; exit 1; }
	$(ADDONS_PYTHON) -m venv $(ADDONS_VENV)
	$(ADDONS_VENV)/bin/python -m pip install --quiet --upgrade pip
	$(ADDONS_VENV)/bin/python -m pip install --quiet \
	    --editable '.[addons,test-core]'
	touch $@

clean:
	rm -rf $(VENV) $(ADDONS_VENV) demo demo-film build dist *.egg-info
