# Two commands, each enough on a machine with Python 3.10 or newer:
#   make test   lint and all tests
#   make demo   the whole pipeline on a synthetic set

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
RUN = $(BIN)/python -m
DEMO = --flagfile=configs/demo.flags --overwrite

.PHONY: test lint demo clean

test: lint
	$(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder \
	    $(PYTEST_FLAGS)

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
	@echo "features: see 'Your own features' in README.md."

$(VENV)/installed: setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) demo build dist *.egg-info
