package io.shadowbatch.spark;

import io.shadowbatch.request.ErrorCode;
import io.shadowbatch.tokens.template.ChatTemplate;
import io.shadowbatch.tokens.template.TemplateContext;
import io.shadowbatch.tokens.template.TemplateException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.List;
import java.util.Map;

/** Renders chats by the model's template, ending where the assistant's answer begins. */
final class ChatRenderer {

  private final ChatTemplate template;
  private final TemplateContext context;

  private ChatRenderer(ChatTemplate template, TemplateContext context) {
    this.template = template;
    this.context = context;
  }

  static ChatRenderer open(ModelCard model, Instant clock) {
    return new ChatRenderer(
        ChatTemplate.parse(model.chatTemplate()),
        TemplateContext.of(model.bosText(), model.eosText(), clock, ZoneOffset.UTC));
  }

  String render(List<Map<String, Object>> messages) {
    try {
      return template.render(messages, context);
    } catch (TemplateException e) {
      throw new RowException(ErrorCode.TEMPLATE_ERROR, "template", Failures.firstLine(e));
    }
  }
}
