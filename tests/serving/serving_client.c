/* Runs signatures of a SavedModel with TensorFlow's C library alone.

     serving_client MODEL_DIR REQUEST ANSWER

   REQUEST is a text file, one request after another:

     run INPUTS OUTPUTS
     in OPERATION INDEX TYPE RANK SIZE... FILE     (INPUTS lines)
     out OPERATION INDEX                           (OUTPUTS lines)

   TYPE is float, int32 or string; FILE holds the raw values, or for a string
   the one string. To ANSWER goes, for each request, "status CODE MESSAGE" and
   for each output "tensor TYPE RANK SIZE..." with a line for each value; floats
   as hexadecimal, which loses nothing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { MOST = 8 };

static void fail(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  *size = ftell(file);
  rewind(file);
  char *content = malloc(*size + 1);
  if (fread(content, 1, *size, file) != *size) fail(path);
  fclose(file);
  return content;
}

static TF_Output find(TF_Graph *graph, const char *name, int index) {
  TF_Output found = {TF_GraphOperationByName(graph, name), index};
  if (!found.oper) fail(name);
  return found;
}

static TF_Tensor *read_tensor(FILE *request) {
  char type[16], path[4096];
  int rank;
  int64_t sizes[MOST];
  if (fscanf(request, "%15s %d", type, &rank) != 2) fail("type");
  for (int i = 0; i < rank; ++i) {
    if (fscanf(request, "%ld", &sizes[i]) != 1) fail("size");
  }
  if (fscanf(request, "%4095s", path) != 1) fail("path");
  size_t size;
  char *content = read_file(path, &size);
  TF_Tensor *tensor;
  if (!strcmp(type, "string")) {
    tensor = TF_AllocateTensor(TF_STRING, sizes, rank, sizeof(TF_TString));
    TF_TString *string = TF_TensorData(tensor);
    TF_TString_Init(string);
    TF_TString_Copy(string, content, size);
  } else {
    TF_DataType kind = strcmp(type, "float") ? TF_INT32 : TF_FLOAT;
    tensor = TF_AllocateTensor(kind, sizes, rank, size);
    memcpy(TF_TensorData(tensor), content, size);
  }
  free(content);
  return tensor;
}

static void write_tensor(FILE *answer, TF_Tensor *tensor) {
  TF_DataType type = TF_TensorType(tensor);
  const void *data = TF_TensorData(tensor);
  fprintf(answer, "tensor %s %d",
          type == TF_FLOAT ? "float" : type == TF_INT32 ? "int32" : "string",
          TF_NumDims(tensor));
  for (int i = 0; i < TF_NumDims(tensor); ++i) {
    fprintf(answer, " %ld", (long)TF_Dim(tensor, i));
  }
  fprintf(answer, "\n");
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
    if (type == TF_FLOAT) {
      fprintf(answer, "%a\n", ((const float *)data)[i]);
    } else if (type == TF_INT32) {
      fprintf(answer, "%d\n", ((const int *)data)[i]);
    } else {
      const TF_TString *string = (const TF_TString *)data + i;
      fprintf(answer, "%.*s\n", (int)TF_TString_GetSize(string),
              TF_TString_GetDataPointer(string));
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4) fail("serving_client MODEL_DIR REQUEST ANSWER");
  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tags[] = {"serve"};
  TF_Session *session = TF_LoadSessionFromSavedModel(
      options, NULL, argv[1], tags, 1, graph, NULL, status);
  if (TF_GetCode(status) != TF_OK) fail(TF_Message(status));

  FILE *request = fopen(argv[2], "r"), *answer = fopen(argv[3], "w");
  if (!request || !answer) fail("cannot open the files");
  int num_inputs, num_outputs, index;
  char name[256];
  while (fscanf(request, " run %d %d", &num_inputs, &num_outputs) == 2) {
    TF_Output inputs[MOST], outputs[MOST];
    TF_Tensor *values[MOST], *results[MOST] = {NULL};
    for (int i = 0; i < num_inputs; ++i) {
      if (fscanf(request, " in %255s %d", name, &index) != 2) fail("in");
      inputs[i] = find(graph, name, index);
      values[i] = read_tensor(request);
    }
    for (int i = 0; i < num_outputs; ++i) {
      if (fscanf(request, " out %255s %d", name, &index) != 2) fail("out");
      outputs[i] = find(graph, name, index);
    }
    TF_SessionRun(session, NULL, inputs, values, num_inputs, outputs, results,
                  num_outputs, NULL, 0, NULL, status);
    /* The first line of the message; names of nodes follow. */
    fprintf(answer, "status %d %.*s\n", TF_GetCode(status),
            (int)strcspn(TF_Message(status), "\n"), TF_Message(status));
    for (int i = 0; i < num_outputs && TF_GetCode(status) == TF_OK; ++i) {
      write_tensor(answer, results[i]);
      TF_DeleteTensor(results[i]);
    }
    for (int i = 0; i < num_inputs; ++i) TF_DeleteTensor(values[i]);
  }
  fclose(request);
  fclose(answer);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
