// Another team's service, in another language: it knows proto/ and the address, nothing else. It asks the server what a
// client asks, and prints what it was told as one JSON object.
//
// usage: go-client HOST:PORT, of a server with the model cifar10
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"go-client/inference"
)

const model = "cifar10"

type told struct {
	Live     bool     `json:"live"`
	Ready    bool     `json:"ready"`
	Health   string   `json:"health"`
	Metadata metadata `json:"metadata"`
	Answer   answer   `json:"answer"`
	Stream   []answer `json:"stream"`
	Refusal  refusal  `json:"refusal"`
}

type metadata struct {
	Versions []string `json:"versions"`
	Inputs   []tensor `json:"inputs"`
	Outputs  []tensor `json:"outputs"`
}

type tensor struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

type answer struct {
	Id    string  `json:"id,omitempty"`
	Sum   float64 `json:"sum,omitempty"`
	Error string  `json:"error,omitempty"`
}

type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go-client HOST:PORT")
	}
	told, err := ask(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		log.Fatal(err)
	}
}

func ask(address string) (*told, error) {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	client := inference.NewGRPCInferenceServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	live, err := client.ServerLive(ctx, &inference.ServerLiveRequest{})
	if err != nil {
		return nil, err
	}
	ready, err := client.ModelReady(ctx, &inference.ModelReadyRequest{Name: model})
	if err != nil {
		return nil, err
	}
	checked, err := health.NewHealthClient(connection).Check(ctx, &health.HealthCheckRequest{Service: model})
	if err != nil {
		return nil, err
	}
	described, err := client.ModelMetadata(ctx, &inference.ModelMetadataRequest{Name: model})
	if err != nil {
		return nil, err
	}
	response, err := client.ModelInfer(ctx, request("one"))
	if err != nil {
		return nil, err
	}
	streamed, err := stream(ctx, client)
	if err != nil {
		return nil, err
	}
	_, err = client.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "nope"})
	if status.Code(err) == codes.OK {
		return nil, errors.New("a model that does not exist has answered")
	}
	return &told{
		Live:     live.GetLive(),
		Ready:    ready.GetReady(),
		Health:   checked.GetStatus().String(),
		Metadata: metadata{described.GetVersions(), tensors(described.GetInputs()), tensors(described.GetOutputs())},
		Answer:   read(response),
		Stream:   streamed,
		Refusal:  refusal{status.Code(err).String(), status.Convert(err).Message()},
	}, nil
}

// Two requests that can be answered, with one between them that cannot.
func stream(ctx context.Context, client inference.GRPCInferenceServiceClient) ([]answer, error) {
	call, err := client.ModelStreamInfer(ctx)
	if err != nil {
		return nil, err
	}
	for _, sent := range []*inference.ModelInferRequest{request("first"), {ModelName: "nope"}, request("last")} {
		if err := call.Send(sent); err != nil {
			return nil, err
		}
	}
	if err := call.CloseSend(); err != nil {
		return nil, err
	}
	var answers []answer
	for {
		message, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return nil, err
		}
		if message.GetErrorMessage() != "" {
			answers = append(answers, answer{Error: message.GetErrorMessage()})
		} else {
			answers = append(answers, read(message.GetInferResponse()))
		}
	}
}

func request(id string) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: model,
		Id:        id,
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "image", Datatype: "UINT8", Shape: []int64{1, 3, 32, 32}},
		},
		RawInputContents: [][]byte{make([]byte, 3*32*32)},
	}
}

// Probabilities come as raw little-endian floats, because the request's contents were raw.
func read(response *inference.ModelInferResponse) answer {
	sum := 0.0
	for raw := response.GetRawOutputContents()[0]; len(raw) > 0; raw = raw[4:] {
		sum += float64(math.Float32frombits(binary.LittleEndian.Uint32(raw)))
	}
	return answer{Id: response.GetId(), Sum: sum}
}

func tensors(described []*inference.ModelMetadataResponse_TensorMetadata) []tensor {
	var read []tensor
	for _, each := range described {
		read = append(read, tensor{each.GetName(), each.GetDatatype(), each.GetShape()})
	}
	return read
}
